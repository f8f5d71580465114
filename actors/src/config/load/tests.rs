//! Tests of `load`: what lies over what, and what is refused with which words.

use serde_json::json;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn of_file(text: &str) -> Result<Loaded, Error> {
    merge(Some(File { path: Path::new("/etc/callboard.toml"), text }), &[], &[])
}

fn of_environment(pairs: &[(&str, &str)]) -> Result<Loaded, Error> {
    merge(None, &environment(pairs), &[])
}

#[test]
fn the_table_of_settings_and_the_configuration_name_the_same_keys() {
    let config = serde_json::to_value(Config::default()).unwrap();
    let mut of_config: Vec<String> = Vec::new();
    for (section, keys) in config.as_object().unwrap() {
        match keys.as_object() {
            Some(keys) => of_config.extend(keys.keys().map(|key| format!("{section}.{key}"))),
            // A list of tables is one setting.
            None => of_config.push(section.clone()),
        }
    }
    let mut of_table: Vec<String> = settings::ALL.iter().map(|setting| setting.key.to_owned()).collect();
    of_config.sort();
    of_table.sort();
    assert_eq!(of_config, of_table);
}

#[test]
fn a_flag_lies_over_a_variable_and_a_variable_over_the_file() {
    let file = File { path: Path::new("c.toml"), text: "[worker]\nplaces = 1\nwarm = 1\nqueue = 1\n" };
    let variables = environment(&[("CALLBOARD_WORKER__PLACES", "2"), ("CALLBOARD_WORKER__WARM", "2")]);
    let flags = [Flag { key: "worker.places", name: "--places", value: json!(3) }];
    let loaded = merge(Some(file), &variables, &flags).unwrap();
    let worker = &loaded.config.worker;
    assert_eq!((worker.places, worker.warm, worker.queue, worker.memory_mb), (Some(3), 2, 1, 512));
    for (key, origin) in [
        ("worker.places", "--places"),
        ("worker.warm", "$CALLBOARD_WORKER__WARM"),
        ("worker.queue", "c.toml:4"),
        ("worker.memory_mb", "default"),
    ] {
        assert_eq!(loaded.origin(key).to_string(), origin);
    }
}

#[test]
fn every_kind_of_setting_is_read_from_the_environment() {
    let loaded = of_environment(&[
        ("CALLBOARD_NODE__NAME", "desk-1"),
        ("CALLBOARD_NODE__ROLES", "worker, scripts"),
        ("CALLBOARD_NODE__TRUST_TIMESTAMPS", "false"),
        ("CALLBOARD_NATS__INBOXES", "my.inbox.,other."),
        ("CALLBOARD_TIMEOUTS__macro.render", "1000"),
        ("CALLBOARD_TIMEOUTS__SCRIPT__LIST", "2000"),
        ("CALLBOARD_LOG__FORMAT", "json"),
        ("CALLBOARD_TELEMETRY__RATIO", "0.25"),
        ("CALLBOARD_CELL", "/opt/cell.so"),
        ("NATS_URL", "nats://broker:4222"),
    ])
    .unwrap();
    let config = loaded.config;
    assert_eq!(config.node.name.as_deref(), Some("desk-1"));
    assert_eq!(config.node.roles.len(), 2);
    assert!(!config.node.trust_timestamps);
    assert_eq!(config.nats.inboxes, ["my.inbox.", "other."]);
    assert_eq!(config.timeouts, [("macro.render".to_owned(), 1000), ("script:list".to_owned(), 2000)].into());
    assert_eq!(config.log.format, Some(super::super::LogFormat::Json));
    assert_eq!(config.telemetry.ratio, 0.25);
    assert_eq!(config.python.extension, Some("/opt/cell.so".into()));
    assert_eq!(config.nats.url.as_deref(), Some("nats://broker:4222"));
}

#[test]
fn a_variable_in_the_form_of_a_setting_wins_over_a_short_name() {
    let loaded = of_environment(&[("CALLBOARD_NATS__URL", "nats://a"), ("NATS_URL", "nats://b")]).unwrap();
    assert_eq!(loaded.config.nats.url.as_deref(), Some("nats://a"));
}

#[test]
fn timeouts_are_read_however_toml_writes_their_names() {
    for text in [
        "[timeouts]\n\"macro.render\" = 7\n\"script:list\" = 8",
        "[timeouts]\nmacro.render = 7\nscript.list = 8",
        "timeouts.macro.render = 7\ntimeouts.\"script:list\" = 8",
    ] {
        let timeouts = of_file(text).unwrap().config.timeouts;
        assert_eq!(
            timeouts,
            [("macro.render".to_owned(), 7), ("script:list".to_owned(), 8)].into(),
            "{text}"
        );
    }
}

#[test]
fn a_time_of_an_action_that_may_be_added_is_a_setting_under_one_name_whatever_the_case() {
    let file = File { path: Path::new("/etc/callboard.toml"), text: "[timeouts]\n\"essay.wordCount\" = 7" };
    let variable = ("CALLBOARD_TIMEOUTS__ESSAY__WORDCOUNT".to_owned(), "8".to_owned());
    let loaded = merge(Some(file), &[variable], &[]).unwrap();
    assert_eq!(loaded.config.timeouts, [("essay.wordCount".to_owned(), 8)].into());
}

#[test]
fn what_the_file_has_wrong_is_refused_with_its_line() {
    for (text, message) in [
        ("[worker]\nplace = 4", "unknown setting worker.place (/etc/callboard.toml:2)"),
        ("colour = true", "unknown setting colour (/etc/callboard.toml:1)"),
        (
            "timeouts.essay.count = 0",
            "timeouts.essay.count: expected a whole number from 1 to 86400000 (/etc/callboard.toml:1)",
        ),
        ("timeouts.essay = 5", "unknown setting timeouts.essay (/etc/callboard.toml:1)"),
        ("[timeouts]\n\"macro.rendr\" = 4", "unknown setting timeouts.macro.rendr (/etc/callboard.toml:2)"),
        (
            "\n\n[worker]\nplaces = \"4\"",
            "worker.places: expected a whole number from 1 to 1024 (/etc/callboard.toml:4)",
        ),
        (
            "worker.places = 0",
            "worker.places: expected a whole number from 1 to 1024 (/etc/callboard.toml:1)",
        ),
        (
            "worker.places = -1",
            "worker.places: expected a whole number from 1 to 1024 (/etc/callboard.toml:1)",
        ),
        (
            "worker.places = 2.0",
            "worker.places: expected a whole number from 1 to 1024 (/etc/callboard.toml:1)",
        ),
        ("nats = 5", "unknown setting nats (/etc/callboard.toml:1)"),
        ("node.development = 1", "node.development: expected true or false (/etc/callboard.toml:1)"),
        ("node.data = \"\"", "node.data: expected a path (/etc/callboard.toml:1)"),
        (
            "timeouts.macro.render = 1\ntimeouts.\"macro.render\" = 2",
            "timeouts.macro.render: given twice (/etc/callboard.toml:2)",
        ),
        (
            "node.roles = [\"worker\", \"worker\"]",
            "node.roles: expected a list, without repeats, of worker, scripts (/etc/callboard.toml:1)",
        ),
        (
            "node.roles = [\"supervisor\"]",
            "node.roles: expected a list, without repeats, of worker, scripts (/etc/callboard.toml:1)",
        ),
    ] {
        assert_eq!(of_file(text).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_line() {
    let error = of_file("[node]\nname = \"a\nprefix = 1").unwrap_err().to_string();
    assert!(error.starts_with("/etc/callboard.toml:2: "), "{error}");
}

#[test]
fn what_a_variable_has_wrong_is_refused_with_its_name_and_without_its_value() {
    for (name, value, message) in [
        ("CALLBOARD_WORKER__PLACE", "4", "unknown setting WORKER__PLACE ($CALLBOARD_WORKER__PLACE)"),
        ("CALLBOARD_TIMEOUTS__X", "4", "unknown setting TIMEOUTS__X ($CALLBOARD_TIMEOUTS__X)"),
        (
            "CALLBOARD_WORKER__PLACES",
            "many",
            "worker.places: expected a whole number from 1 to 1024 ($CALLBOARD_WORKER__PLACES)",
        ),
        (
            "CALLBOARD_WORKER_PLACES",
            "4",
            "the variable CALLBOARD_WORKER_PLACES has one underscore where CALLBOARD_WORKER__PLACES has two",
        ),
        (
            "CALLBOARD_NODE__DEVELOPMENT",
            "1",
            "node.development: expected true or false ($CALLBOARD_NODE__DEVELOPMENT)",
        ),
        (
            "NATS_URL",
            "http://secret@host",
            "nats.url: expected an address such as nats://127.0.0.1:4222 or tls://host ($NATS_URL)",
        ),
        ("RUST_LOG", "a=b=c", "log.filter: expected a filter such as info,callboard=debug ($RUST_LOG)"),
    ] {
        assert_eq!(of_environment(&[(name, value)]).unwrap_err().to_string(), message);
    }
}

#[test]
fn variables_that_others_set_are_left_alone() {
    for name in
        ["CALLBOARD_PORT", "CALLBOARD_SERVICE_HOST", "CALLBOARD_CONFIG", "CALLBOARD_NATS_SERVER", "HOME"]
    {
        of_environment(&[(name, "/some/thing")]).unwrap();
    }
}

#[test]
fn the_forms_of_texts_are_checked() {
    for (key, good, bad) in [
        ("node.name", "Desk_1-a", "desk.1"),
        ("node.prefix", "acme.eu", "acme..eu"),
        ("nats.url", "tls://broker.example.com:4222", "broker:4222"),
        ("log.filter", "info,async_nats=warn", "info=warn=x"),
        ("log.format", "text", "yaml"),
    ] {
        let put = |value: &str| merge(None, &[], &[Flag { key, name: "--flag", value: json!(value) }]);
        put(good).unwrap();
        put(bad).unwrap_err();
    }
    let hosts =
        |value: Value| merge(None, &[], &[Flag { key: "worker.iframe_hosts", name: "--flag", value }]);
    hosts(json!(["player.vimeo.com"])).unwrap();
    hosts(json!(["https://player.vimeo.com"])).unwrap_err();
    hosts(json!("player.vimeo.com")).unwrap_err();
}

#[test]
fn rust_log_wins_even_over_a_flag() {
    let flags = [Flag { key: "log.filter", name: "--log", value: json!("warn") }];
    let loaded = merge(None, &environment(&[("RUST_LOG", "debug")]), &flags).unwrap();
    assert_eq!(loaded.config.log.filter.as_deref(), Some("debug"));
    assert_eq!(loaded.origin("log.filter").to_string(), "$RUST_LOG");
}

#[test]
fn a_port_that_is_named_later_than_an_address_counts() {
    let variables = environment(&[("NATS_URL", "nats://broker")]);
    let port = [Flag { key: "nats.port", name: "--port", value: json!(0) }];
    let loaded = merge(None, &variables, &port).unwrap();
    assert_eq!((loaded.config.nats.url, loaded.config.nats.port), (None, Some(0)));
    let file = File { path: Path::new("c.toml"), text: "nats.port = 5000" };
    let loaded = merge(Some(file), &variables, &[]).unwrap();
    assert_eq!(loaded.config.nats.url.as_deref(), Some("nats://broker"));
}

#[test]
fn a_relative_path_in_a_file_begins_at_the_file() {
    let config = of_file("node.data = \"var/data\"\npython.path = \"python3.12\"").unwrap().config;
    assert_eq!(config.node.data, Some("/etc/var/data".into()));
    assert_eq!(config.python.path, Some("python3.12".into()));
}

#[test]
fn entries_list_every_setting_and_hide_a_password() {
    let loaded =
        of_environment(&[("NATS_URL", "nats://me:hunter2@host"), ("CALLBOARD_TIMEOUTS__UTILITY__RUN", "9")])
            .unwrap();
    let entries = loaded.entries();
    assert_eq!(entries.len(), settings::ALL.len() + 1);
    let find = |key: &str| entries.iter().find(|entry| entry.key == key).unwrap();
    assert_eq!(find("nats.url").value, Some(json!("nats://***@host")));
    assert_eq!(find("timeouts.utility.run").value, Some(json!(9)));
    assert_eq!(find("worker.places").value, None);
    assert_eq!(
        find("worker.warm"),
        &Entry { key: "worker.warm".to_owned(), value: Some(json!(64)), origin: Origin::Default }
    );
}

#[test]
fn no_color_takes_the_colour_away() {
    assert!(of_environment(&[]).unwrap().colour);
    assert!(!of_environment(&[("NO_COLOR", "1")]).unwrap().colour);
}

#[test]
fn the_variables_of_opentelemetry_are_settings_and_one_switches_all_of_it_off() {
    let text = "[telemetry]\nendpoint = \"http://in.the.file:4318\"\nratio = 0.5\nexporter = \"otlp\"\n";
    let file = Some(File { path: Path::new("c.toml"), text });
    let loaded = merge(file, &[], &[]).unwrap().config.telemetry;
    assert_eq!((loaded.endpoint.as_deref(), loaded.ratio), (Some("http://in.the.file:4318"), 0.5));
    let variables = environment(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector/otlp"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "1e-2"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
    ]);
    let telemetry = merge(file, &variables, &[]).unwrap().config.telemetry;
    assert_eq!(telemetry.endpoint.as_deref(), Some("https://collector/otlp"));
    assert_eq!((telemetry.ratio, telemetry.timeout_ms), (0.01, 250));
    assert_eq!(telemetry.sampler, super::super::Sampler::ParentbasedTraceidratio);
    let off = ("OTEL_SDK_DISABLED", "True");
    let variables =
        environment(&[off, ("CALLBOARD_TELEMETRY__EXPORTER", "otlp"), ("OTEL_TRACES_SAMPLER", "xray")]);
    let telemetry = merge(file, &variables, &[]).unwrap().config.telemetry;
    assert_eq!(telemetry.exporter, super::super::Exporter::None);
}

#[test]
fn the_variables_of_opentelemetry_stop_nobody_who_exports_nothing() {
    let variables = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_TRACES_EXPORTER", "console")];
    assert_eq!(of_environment(&variables).unwrap().config.telemetry, Config::default().telemetry);
    for login in ["http://me:hunter2@collector:4318", "http://me@collector:4318"] {
        let error = of_environment(&[("OTEL_EXPORTER_OTLP_ENDPOINT", login)]).unwrap_err().to_string();
        assert!(error.contains("without a login") && !error.contains("hunter2"), "{error}");
    }
}
