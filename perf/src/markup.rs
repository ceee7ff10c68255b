//! Text that may stand in SVG and HTML whatever it is. Names come from files, so they are hostile until they were here.
//!
//! What is made with it is well-formed XML and valid HTML at once: five named references, every element closed. No
//! markup is read here.

use std::fmt::Write;

/// A text between tags or within a quoted attribute, and only in those.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in clean(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A text without what neither XML nor HTML may contain, not even escaped (XML 1.0 §2.2; HTML §13.2.3.5): control
/// characters and code points that are none. Each becomes the replacement character.
pub(crate) fn clean(text: &str) -> String {
    let allowed = |c: char| matches!(c, '\n' | '\t') || !(c.is_control() || is_noncharacter(c));
    let clean = text.chars();
    clean
        .map(|c| {
            if allowed(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            }
        })
        .collect()
}

/// A text of at most so many characters, the last of which says that there were more.
pub(crate) fn shorten(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars_max - 1).chain(['…']).collect(),
    }
}

/// What is to become a page, tag by tag.
#[derive(Default)]
pub(crate) struct Markup(pub(crate) String);

impl Markup {
    /// What is markup already.
    pub(crate) fn raw(&mut self, markup: &str) {
        self.0.push_str(markup);
    }

    /// An element that holds a text, on a line of its own. The tag may have attributes.
    pub(crate) fn element(&mut self, tag: &str, text: &str) {
        let name = tag.split(' ').next().unwrap_or(tag);
        writeln!(self.0, "<{tag}>{}</{name}>", escape(text)).expect("a string takes all");
    }
}

fn is_noncharacter(character: char) -> bool {
    let code = u32::from(character);
    (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_escaped_is_markup() {
        let rows = [
            ("a < b & c", "a &lt; b &amp; c"),
            ("</title><script>", "&lt;/title&gt;&lt;script&gt;"),
            ("\" onload='x'", "&quot; onload=&#39;x&#39;"),
            ("&lt;", "&amp;lt;"),
            (
                "a\0\u{1b}[31m\u{85}\r\n\t",
                "a\u{fffd}\u{fffd}[31m\u{fffd}\u{fffd}\n\t",
            ),
            (
                "\u{ffff}\u{fdd0}\u{1fffe}\u{fffd}",
                "\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
            ),
            ("µs, 中文, 🦀", "µs, 中文, 🦀"),
        ];
        for (text, escaped) in rows {
            assert_eq!(escape(text), escaped);
        }
    }

    #[test]
    fn what_is_too_long_says_so() {
        for (text, shortened) in [
            ("abcd", "abcd"),
            ("abcde", "abc…"),
            ("äöüßé", "äöü…"),
            ("", ""),
        ] {
            assert_eq!(shorten(text, 4), shortened);
        }
    }
}
