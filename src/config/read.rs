//! From JSON values to typed keys: what a schema can say is checked here, against the schema.
//!
//! An object's bad entries become problems and are left out of the typed keys, so that the rest
//! is still read and checked. Not here: what no schema can say ([`super::check`]).

use std::path::Path;

use serde::Deserialize;
use serde::de::value::MapDeserializer;
use serde_json::Value;
use serde_json::value::RawValue;

use super::json::{self, Kind};
use super::problem::{Cursor, Notice, Problem, Problems, nearest};

/// How the JSON path of a route's variables ends, whose values are not shown.
const SECRET: &str = ".env";

/// Keys of one object at most, known and unknown.
const KEYS_MAX: usize = 256;

/// An object of the file: its typed keys, and its entries for later problems.
pub(super) struct Object<'a, T> {
    pub(super) keys: T,
    pub(super) at: String,
    raw: &'a RawValue,
    entries: Vec<(String, &'a RawValue)>,
}

impl<'a, T> Object<'a, T> {
    /// The first value of `key` as it stands in the file.
    pub(super) fn value(&self, key: &str) -> Option<&'a RawValue> {
        let mut entries = self.entries.iter();
        let (_, value) = entries.find(|(name, _)| name == key)?;
        Some(value)
    }

    /// The JSON path of `key`.
    pub(super) fn member(&self, key: &str) -> String {
        json::member(&self.at, key)
    }

    /// Whether `key` is there, well-formed or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }
}

/// What an object may hold.
pub(super) struct Shape<'s> {
    /// The word for such an object: tenant, route.
    pub(super) noun: &'static str,
    /// Its JSON Schema.
    pub(super) schema: &'s Value,
    /// Keys that have no effect, with why.
    pub(super) ignored: &'static [(&'static str, &'static str)],
    /// The word for the other kind of object, and its schema, for keys in the wrong place.
    pub(super) other: (&'static str, &'s Value),
}

/// Reads one file and collects what is to be said about it.
pub(super) struct Reader<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
    /// With the offsets of their values, which become positions in one pass at the end.
    problems: Vec<(usize, Problem)>,
    /// One for each kind of remark, with the number of places after the first.
    notices: Vec<(Notice, usize)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        Self {
            file,
            text,
            problems: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// Adds a problem with `value`, which stands at the JSON path `at`.
    pub(super) fn problem(
        &mut self,
        at: impl Into<String>,
        value: &RawValue,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let at = at.into();
        // An object may hold secrets, under a key of whatever name.
        let is_secret = value.get().contains('{') || at.ends_with(SECRET);
        let shown = if is_secret { "" } else { value.get() };
        self.part(at, value, shown, problem, remedy);
    }

    /// Adds a problem with `value`, which is secret: it is not shown.
    pub(super) fn secret(
        &mut self,
        at: impl Into<String>,
        value: &RawValue,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.part(at, value, "", problem, remedy);
    }

    /// Adds a problem with `value`, of which only `part` is shown.
    pub(super) fn part(
        &mut self,
        at: impl Into<String>,
        value: &RawValue,
        part: &str,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let problem = Problem::in_file(self.file, at, problem, remedy).with_value(part);
        self.problems
            .push((json::offset(self.text, value), problem));
    }

    /// Adds a problem with `key`, which `object` has.
    pub(super) fn problem_with<T>(
        &mut self,
        object: &Object<'a, T>,
        key: &str,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let value = object.value(key).unwrap_or(object.raw);
        self.problem(object.member(key), value, problem, remedy);
    }

    /// Adds a notice; of equal texts the first is kept and the others are counted.
    pub(super) fn notice(&mut self, at: String, notice: impl Into<String>) {
        let notice = notice.into();
        match self
            .notices
            .iter_mut()
            .find(|(kept, _)| kept.notice == notice)
        {
            Some((_, more)) => *more += 1,
            None => self.notices.push((Notice { at, notice }, 0)),
        }
    }

    /// What was found: problems in the order of the file, and notices.
    pub(super) fn finish(mut self) -> (Problems, Vec<Notice>) {
        self.problems.sort_by_key(|&(offset, _)| offset);
        let mut cursor = Cursor::new(self.text);
        let problems = self.problems.into_iter();
        let problems =
            problems.map(|(offset, problem)| problem.with_position(Some(cursor.at(offset))));
        let notices = self.notices.into_iter().map(|(mut notice, more)| {
            if more > 0 {
                notice.at = format!("{} and {more} more", notice.at);
            }
            notice
        });
        (Problems(problems.collect()), notices.collect())
    }

    /// Checks `value` against its schema, adds what is wrong, and says whether it is right. The
    /// objects in an array are left to whoever reads them.
    pub(super) fn check(&mut self, schema: &Value, at: &str, value: &RawValue) -> bool {
        if let Some(problem) = fault(schema, value) {
            self.problem(at, value, problem, wanted(schema));
            return false;
        }
        let item_schema = &schema["items"];
        if Kind::of(value) != Kind::Array || item_schema["type"] == "object" {
            return true;
        }
        let mut right = true;
        for (index, item) in json::items(value).into_iter().enumerate() {
            right &= self.check(item_schema, &format!("{at}[{index}]"), item);
        }
        right
    }

    /// Reads an object of the given shape; `None` if it is no object at all.
    pub(super) fn object<T: Deserialize<'a>>(
        &mut self,
        shape: &Shape<'_>,
        at: String,
        value: &'a RawValue,
    ) -> Option<Object<'a, T>> {
        if Kind::of(value) != Kind::Object {
            let problem = format!("is {}, not a {}", Kind::of(value).name(), shape.noun);
            self.problem(at, value, problem, wanted(shape.schema));
            return None;
        }
        let entries = match json::entries(value) {
            Ok(entries) => entries,
            Err(error) => {
                self.problem(
                    at,
                    value,
                    format!("has a key that is no text: {error}"),
                    UNICODE,
                );
                return None;
            }
        };
        if entries.len() > KEYS_MAX {
            let problem = format!("has {} keys", entries.len());
            self.problem(at, value, problem, wanted(shape.schema));
            return None;
        }
        let mut good: Vec<(&str, &'a RawValue)> = Vec::with_capacity(entries.len());
        for (index, (key, value)) in entries.iter().enumerate() {
            if self.entry(shape, &at, &entries[..index], key, value) {
                good.push((key, value));
            }
        }
        self.check_required(shape, &at, value, &entries);
        match T::deserialize(MapDeserializer::new(good.into_iter())) {
            Ok(keys) => Some(Object {
                keys,
                at,
                raw: value,
                entries,
            }),
            Err(error) => {
                self.problem(at, value, error.to_string(), wanted(shape.schema));
                None
            }
        }
    }

    /// Checks one entry, given those before it; whether the typed keys may have it.
    fn entry(
        &mut self,
        shape: &Shape<'_>,
        object_at: &str,
        earlier: &[(String, &'a RawValue)],
        key: &str,
        value: &'a RawValue,
    ) -> bool {
        let at = json::member(object_at, key);
        if earlier.iter().any(|(name, _)| name == key) {
            self.problem(at, value, "the key is there already", "each key once");
            return false;
        }
        if let Some((_, why)) = shape.ignored.iter().find(|(name, _)| *name == key) {
            self.notice(at, format!("{key} has no effect: {why}"));
            return false;
        }
        let Some(schema) = shape.schema["properties"].get(key) else {
            let problem = format!("a {} has no such key", shape.noun);
            self.problem(at, value, problem, misnamed(shape, key));
            return false;
        };
        self.check(schema, &at, value)
    }

    fn check_required(
        &mut self,
        shape: &Shape<'_>,
        at: &str,
        object: &RawValue,
        entries: &[(String, &'a RawValue)],
    ) {
        for key in names(&shape.schema["required"]) {
            if entries.iter().any(|(name, _)| name == key) {
                continue;
            }
            let problem = format!("the {} has no \"{key}\"", shape.noun);
            let remedy = wanted(&shape.schema["properties"][key]);
            let problem = Problem::in_file(self.file, json::member(at, key), problem, remedy);
            self.problems
                .push((json::offset(self.text, object), problem));
        }
    }
}

const UNICODE: &str = "valid Unicode; surrogates (\\ud800 to \\udfff) only in pairs";

/// What is wrong with `value` by its schema, not looking into arrays and objects.
fn fault(schema: &Value, value: &RawValue) -> Option<String> {
    let kind = Kind::of(value);
    let constants = constants(schema);
    let expected = match schema["type"].as_str() {
        _ if !constants.is_empty() => Kind::String,
        Some("boolean") => Kind::Boolean,
        Some("integer") => Kind::Integer,
        Some("array") => Kind::Array,
        Some("object") => Kind::Object,
        _ => Kind::String,
    };
    if schema["type"].is_array() {
        // What a string of a number is, no schema says.
        let is_right = matches!(kind, Kind::Integer | Kind::Number | Kind::String);
        return (!is_right).then(|| format!("is {}, not a number", kind.name()));
    }
    if kind != expected {
        return Some(format!("is {}, not {}", kind.name(), expected.name()));
    }
    let within = |count: u64, least: &str, most: &str| {
        schema[least].as_u64().is_none_or(|min| count >= min)
            && schema[most].as_u64().is_none_or(|max| count <= max)
    };
    match kind {
        Kind::Integer => {
            let number: Option<u64> = value.get().parse().ok();
            let inside = number.is_some_and(|number| within(number, "minimum", "maximum"));
            (!inside).then(|| "is out of range".to_owned())
        }
        Kind::Array => {
            let count = json::items(value).len() as u64;
            let inside = within(count, "minItems", "maxItems");
            (!inside).then(|| format!("has {count} entries"))
        }
        Kind::String => {
            let Ok(text) = serde_json::from_str::<String>(value.get()) else {
                return Some("is no valid Unicode".to_owned());
            };
            if !constants.is_empty() {
                let known = constants.contains(&&*text);
                return (!known).then(|| "is none of the known names".to_owned());
            }
            let count = text.chars().count() as u64;
            let inside = within(count, "minLength", "maxLength");
            (!inside).then(|| format!("has {count} characters"))
        }
        _ => None,
    }
}

/// What the schema asks for, in words.
fn wanted(schema: &Value) -> String {
    let constants = constants(schema);
    if !constants.is_empty() {
        let quoted: Vec<_> = constants.iter().map(|name| format!("\"{name}\"")).collect();
        return format!("one of {}", quoted.join(", "));
    }
    let bounds = |least: &str, most: &str| match (&schema[least], &schema[most]) {
        (Value::Null, Value::Null) => String::new(),
        (least, Value::Null) => format!("at least {least}"),
        (Value::Null, most) => format!("at most {most}"),
        (least, most) => format!("{least} to {most}"),
    };
    if schema["type"].is_array() {
        return format!("a number, {}", bounds("minimum", "maximum"));
    }
    match schema["type"].as_str() {
        Some("integer") => format!("an integer, {}", bounds("minimum", "maximum")),
        Some("array") => {
            let count = bounds("minItems", "maxItems");
            format!(
                "an array of {count} entries, each {}",
                wanted(&schema["items"])
            )
        }
        Some("boolean") => "true or false".to_owned(),
        Some("object") if schema["required"].is_null() => "an object of strings".to_owned(),
        Some("object") => {
            let required: Vec<_> = names(&schema["required"]).collect();
            format!("an object with {}", required.join(", "))
        }
        _ => format!(
            "a string of {} characters",
            bounds("minLength", "maxLength")
        ),
    }
}

/// The strings that the schema allows, if it lists them.
fn constants(schema: &Value) -> Vec<&str> {
    let alternatives = schema["oneOf"].as_array().into_iter().flatten();
    let constants = alternatives.filter_map(|alternative| alternative["const"].as_str());
    names(&schema["enum"]).chain(constants).collect()
}

/// The strings in an array of a schema.
fn names(array: &Value) -> impl Iterator<Item = &str> {
    array
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// What to do about a key that does not exist here.
fn misnamed(shape: &Shape<'_>, key: &str) -> String {
    let properties = |schema: &'_ Value| {
        let properties = schema["properties"].as_object();
        properties
            .into_iter()
            .flat_map(|map| map.keys().cloned())
            .collect::<Vec<_>>()
    };
    let known = properties(shape.schema);
    let (other_noun, other_schema) = shape.other;
    if let Some(near) = nearest(key, known.iter().map(|key| &**key)) {
        format!("did you mean \"{near}\"?")
    } else if properties(other_schema).iter().any(|name| name == key) {
        format!("\"{key}\" belongs into a {other_noun}")
    } else {
        let ignored = |name: &String| shape.ignored.iter().any(|(ignored, _)| ignored == name);
        let listed: Vec<_> = known.into_iter().filter(|name| !ignored(name)).collect();
        format!(
            "leave it out; a {} may hold {}",
            shape.noun,
            listed.join(", ")
        )
    }
}
