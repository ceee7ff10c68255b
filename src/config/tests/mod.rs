//! Specs and what becomes of them, as tables.

mod mistakes;
mod secrets;

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::keys::{ROUTE_IGNORED, TENANT_IGNORED};
use super::*;

/// Modules that the tests' resolver knows.
const MODULES: [&str; 3] = ["a.wasm", "b.wat", "fibonacci.wasm"];

fn read(text: &str, options: LoadOptions) -> Result<Loaded, Problems> {
    load_from(text, Path::new("spec.json"), options, |path| {
        let known = MODULES.iter().any(|module| Path::new(module) == path);
        known
            .then(|| Path::new("modules").join(path))
            .ok_or_else(|| "does not exist".to_owned())
    })
}

/// A spec with every kind of key.
const WHOLE: &str = r#"[
      { "name": "gwu", "port": 10010, "replenishment-period-us": 0, "max-budget-us": 0,
        "routes": [
          { "route": "/fib", "path": "fibonacci.wasm.so", "admissions-percentile": 70,
            "expected-execution-us": 4000, "relative-deadline-us": 16000,
            "http-resp-content-type": "text/plain", "stack-size": 524288 },
          { "route": "/a/", "path": "a.wasm", "methods": ["GET", "HEAD"], "max-body-bytes": 0,
            "stderr": "body", "max-memory-bytes": 65536, "cpu-limit-us": 1,
            "relative-deadline-us": 5, "deadline-action": "drop-unstarted", "debug": true,
            "server-timing": true, "latency-objective-us": 900, "model-bias": 9, "model-scale": 1024,
            "model-num-of-param": 1, "model-beta1": "-0.5", "model-beta2": 3,
            "scratch": "/tmp", "dirs": [ { "host": ".", "guest": "/" },
              { "host": "/", "guest": "/all", "access": "rw" } ] } ] },
      { "name": "two", "port": 10011, "weight": 30, "replenishment-period-us": 400, "max-budget-us": 1200,
        "routes": [ { "route": "/", "path": "b.wat" } ] } ]"#;

/// A spec of one tenant with these routes.
fn with_routes(routes: &Value) -> String {
    json!([{ "name": "a", "port": 8080, "routes": routes }]).to_string()
}

/// A spec of one route with `/a` and `a.wasm`, and these keys over them.
fn with_route(keys: &Value) -> String {
    let mut route = json!({ "route": "/a", "path": "a.wasm" });
    for (key, value) in keys.as_object().expect("keys") {
        route[key] = value.clone();
    }
    with_routes(&json!([route]))
}

/// A spec of one tenant with these keys over the necessary ones.
fn with_tenant(keys: &Value) -> String {
    let routes = json!([{ "route": "/a", "path": "a.wasm" }]);
    let mut tenant = json!({ "name": "a", "port": 8080, "routes": routes });
    for (key, value) in keys.as_object().expect("keys") {
        tenant[key] = value.clone();
    }
    json!([tenant]).to_string()
}

/// Every problem of `text`: its path, and words of the problem and of the remedy.
fn check(text: &str, expected: &[(&str, &str, &str)]) {
    let problems = match read(text, LoadOptions::default()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0,
    };
    let shown = problems.iter().map(ToString::to_string).collect::<String>();
    assert_eq!(problems.len(), expected.len(), "{text}\n{shown}");
    for (found, (at, problem, remedy)) in problems.iter().zip(expected) {
        assert_eq!(found.at, *at, "{text}\n{shown}");
        assert!(
            found.problem.contains(problem),
            "no {problem:?} for {text}\n{shown}"
        );
        assert!(
            found.remedy.contains(remedy),
            "no {remedy:?} for {text}\n{shown}"
        );
        assert!(found.position.is_some(), "{text}\n{shown}");
    }
}

fn position(line: usize, column: usize) -> Option<Position> {
    Some(Position { line, column })
}

fn dir(host: &str, guest: &str, access: Access) -> Dir {
    Dir {
        host: host.into(),
        guest: guest.to_owned(),
        access,
    }
}

fn model(beta1_us: f64) -> Model {
    Model {
        bias_us: 9,
        scale_bytes: NonZeroU32::new(1024).expect("not 0"),
        beta1_us,
    }
}

/// The route of [`WHOLE`] that says nothing.
fn bare() -> Route {
    Route {
        route: "/".to_owned(),
        path: PathBuf::from("modules/b.wat"),
        relative_deadline_us: None,
        expected_execution_us: None,
        model: None,
        admissions_percentile: None,
        http_resp_content_type: None,
        stack_size: None,
        methods: Methods::ALL,
        max_body_bytes: None,
        stderr: Stderr::Log,
        max_memory_bytes: None,
        cpu_limit_us: None,
        deadline_action: DeadlineAction::None,
        debug: false,
        server_timing: false,
        latency_objective_us: None,
        env: Environment::default(),
        abi: Abi::Sledge,
        pass_authorization: false,
        dirs: Vec::new(),
        scratch: None,
        pointer: "$[1].routes[0]".to_owned(),
        path_position: position(15, 45),
    }
}

/// What [`WHOLE`] says.
fn whole() -> [Tenant; 2] {
    let fib = Route {
        route: "/fib".to_owned(),
        path: PathBuf::from("modules/fibonacci.wasm"),
        relative_deadline_us: Some(16_000),
        expected_execution_us: Some(4_000),
        admissions_percentile: Some(70),
        http_resp_content_type: Some("text/plain".to_owned()),
        stack_size: Some(524_288),
        pointer: "$[0].routes[0]".to_owned(),
        path_position: position(4, 38),
        ..bare()
    };
    let a = Route {
        route: "/a".to_owned(),
        path: PathBuf::from("modules/a.wasm"),
        methods: Methods::from_iter([Method::Get, Method::Head]),
        max_body_bytes: Some(0),
        stderr: Stderr::Body,
        max_memory_bytes: Some(65_536),
        cpu_limit_us: Some(1),
        relative_deadline_us: Some(5),
        deadline_action: DeadlineAction::DropUnstarted,
        debug: true,
        server_timing: true,
        latency_objective_us: Some(900),
        model: Some(model(-0.5)),
        dirs: vec![dir(".", "/", Access::Ro), dir("/", "/all", Access::Rw)],
        scratch: Some("/tmp".to_owned()),
        pointer: "$[0].routes[1]".to_owned(),
        path_position: position(7, 37),
        ..bare()
    };
    let first = Tenant {
        name: "gwu".to_owned(),
        port: 10010,
        routes: vec![fib, a],
        weight: None,
        replenishment_period_us: None,
        max_budget_us: None,
        pointer: "$[0]".to_owned(),
    };
    let second = Tenant {
        name: "two".to_owned(),
        port: 10011,
        routes: vec![bare()],
        weight: Some(30),
        replenishment_period_us: Some(400),
        max_budget_us: Some(1200),
        pointer: "$[1]".to_owned(),
    };
    [first, second]
}

#[test]
fn a_whole_spec() {
    let Loaded { spec, notices } = read(WHOLE, LoadOptions::default()).expect("a good spec");
    assert_eq!(spec.tenants, whole());

    let problem = spec.problem(&spec.tenants[1].routes[0], "does not compile", "a module");
    assert_eq!(
        (&*problem.at, &*problem.value),
        ("$[1].routes[0].path", "\"modules/b.wat\"")
    );
    assert_eq!(problem.position, spec.tenants[1].routes[0].path_position);
    let said: Vec<_> = notices.iter().map(|notice| &*notice.at).collect();
    let expected = ["$[0].routes[0].path", "$[1].max-budget-us"];
    assert_eq!(said, expected);
}

#[test]
fn what_has_no_effect_is_accepted_and_said_once() {
    let mut route = json!({ "route": "/a", "path": "a.wasm" });
    for (key, _) in ROUTE_IGNORED {
        route[*key] = json!([{"any": null}]);
    }
    let mut other = route.clone();
    other["route"] = "/b".into();
    let text = with_routes(&json!([route, other]));
    let loaded = read(&text, LoadOptions::default()).expect("accepted");
    assert_eq!(loaded.notices.len(), ROUTE_IGNORED.len());
    for notice in &loaded.notices {
        assert!(notice.at.ends_with(" and 1 more"), "{notice}");
    }
    let text = with_tenant(&json!({"port": 80, "route-replicas": 3}));
    let notices = read(&text, LoadOptions::default())
        .expect("accepted")
        .notices;
    let said: Vec<_> = notices.iter().map(|notice| &*notice.at).collect();
    assert_eq!(said, ["$[0].route-replicas", "$[0].port"]);
}

/// Decimals are numbers or strings of numbers; of two parameters one is known.
#[test]
fn models_of_executions() {
    for (beta1, beta1_us) in [
        (json!(3), 3.0),
        (json!(-3), -3.0),
        (json!(0.25), 0.25),
        (json!(1e-3), 0.001),
        (json!("0"), 0.0),
        (json!("-12.5"), -12.5),
        (json!("1e9"), 1e9),
    ] {
        let mut keys = json!({"model-bias": 9, "model-scale": 1024, "model-num-of-param": 2,
            "model-beta1": beta1, "model-beta2": "0.0"});
        let loaded = read(&with_route(&keys), LoadOptions::default()).expect("a model");
        let route = &loaded.spec.tenants[0].routes[0];
        assert_eq!(route.model, Some(model(beta1_us)), "{beta1}");
        assert_eq!(loaded.notices, []);
        for (key, value) in [
            ("model-beta2", json!("0.1")),
            ("expected-execution-us", json!(7)),
            ("admissions-percentile", json!(70)),
        ] {
            keys[key] = value;
        }
        let loaded = read(&with_route(&keys), LoadOptions::default()).expect("a model");
        let said: Vec<_> = loaded.notices.iter().map(|notice| &*notice.at).collect();
        let keys = [
            "model-beta2",
            "expected-execution-us",
            "admissions-percentile",
        ];
        assert_eq!(said, keys.map(|key| format!("$[0].routes[0].{key}")));
    }
}

#[test]
fn port_zero_only_on_request() {
    let tenant =
        |name| json!({"name": name, "port": 0, "routes": [{"route": "/", "path": "a.wasm"}]});
    let text = json!([tenant("a"), tenant("b")]).to_string();
    let at = ["$[0].port", "$[1].port"];
    check(&text, &at.map(|at| (at, "out of range", "1 to 65535")));
    let options = LoadOptions {
        allow_port_zero: true,
    };
    assert!(read(&text, options).is_ok());
}

#[test]
fn files() {
    let folder = std::env::temp_dir().join(format!("luge-config-{}", std::process::id()));
    fs::create_dir_all(folder.join("d.wasm")).expect("a folder");
    for name in ["a.wasm", "n.wasm"] {
        fs::write(folder.join(name), b"\0asm").expect("a file");
    }
    let spec = folder.join("spec.json");
    let routes = ["a.wasm", "n.wasm.so", "d.wasm", "c.wasm"]
        .map(|path| json!({"route": format!("/{path}"), "path": path}));

    fs::write(&spec, with_routes(&json!(routes[..2]))).expect("a file");
    let loaded = load(&spec).expect("a good spec");
    let paths = loaded.spec.tenants[0]
        .routes
        .iter()
        .map(|route| route.path.clone());
    assert_eq!(
        paths.collect::<Vec<_>>(),
        [folder.join("a.wasm"), folder.join("n.wasm")]
    );
    assert_eq!(loaded.notices.len(), 1);

    fs::write(&spec, with_routes(&json!(routes))).expect("a file");
    let problems = load(&spec).expect_err("a bad spec").0;
    let problems: Vec<_> = problems.iter().map(|problem| &*problem.problem).collect();
    assert_eq!(
        problems,
        ["the module is a directory", "the module does not exist"]
    );

    fs::write(&spec, b"[\n  \"\xff\"]").expect("a file");
    for (path, position, problem) in [
        (
            spec.clone(),
            Some(Position { line: 2, column: 4 }),
            "the file is not UTF-8",
        ),
        (folder.join("none.json"), None, "the file does not exist"),
        (folder.clone(), None, "the file is a directory"),
        (
            PathBuf::from("/dev/null"),
            None,
            "the file is not a regular file",
        ),
    ] {
        let problems = load(&path).expect_err(problem).0;
        assert_eq!(problems.len(), 1);
        assert_eq!(
            (&*problems[0].problem, problems[0].position),
            (problem, position)
        );
    }
    fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn a_byte_order_mark_is_no_mistake() {
    let text = format!("\u{feff}{}", with_route(&json!({})));
    assert!(read(&text, LoadOptions::default()).is_ok());
}

/// The reader checks by the schema, so the tables above hold for what it says; here its form.
#[test]
fn the_schema() {
    let schema = schema();
    let tenant = &schema["items"];
    let route = &tenant["properties"]["routes"]["items"];
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert_eq!(tenant["required"], json!(["name", "port", "routes"]));
    assert_eq!(route["required"], json!(["route", "path"]));
    for (object, ignored, own) in [(tenant, TENANT_IGNORED, 6), (route, ROUTE_IGNORED, 26)] {
        assert_eq!(object["additionalProperties"], false);
        let properties = object["properties"].as_object().expect("properties");
        assert_eq!(properties.len(), own + ignored.len());
        for (key, property) in properties {
            assert!(property["description"].is_string(), "{key}");
            let deprecated = ignored.iter().any(|(name, _)| name == key);
            assert_eq!(property["deprecated"] == true, deprecated, "{key}");
            if property["type"] == "integer" {
                assert!(
                    property["minimum"].is_u64() && property["maximum"].is_u64(),
                    "{key}"
                );
            }
        }
    }
    assert!(!schema.to_string().contains("null"));
    assert!(!schema.to_string().contains("\\n"));
}
