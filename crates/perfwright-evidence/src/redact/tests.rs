//! Planted secrets that must not come through, and look-alikes that must.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn strings(args: &[&str]) -> Vec<String> {
    args.iter().map(|s| (*s).to_owned()).collect()
}

#[test]
fn command_lines() {
    for (argv, expected) in [
        (&["x", "--api-key", "abc123def"][..], &["x", "--api-key", REDACTED][..]),
        (&["x", "--api-key=abc"], &["x", "--api-key=[redacted]"]),
        (&["HF_TOKEN=hf_x", "x"], &["HF_TOKEN=[redacted]", "x"]),
        (&["curl", "-H", "Authorization: Bearer abc.def"], &["curl", "-H", "Authorization: [redacted]"]),
        (&["curl", "-H", "Cookie: a=b; c=d"], &["curl", "-H", "Cookie: [redacted]"]),
        (&["curl", "-H", "X-Api-Key: zzz"], &["curl", "-H", "X-Api-Key: [redacted]"]),
        (&["curl", "-u", "me:pw"], &["curl", "-u", REDACTED]),
        (&["x", "--url", "https://me:pw@host/v1?q=1"], &["x", "--url", "https://[redacted]@host/v1?q=1"]),
        (
            &["x", "--body", r#"{"api_key":"abc","n":1}"#],
            &["x", "--body", r#"{"api_key":"[redacted]","n":1}"#],
        ),
        (&["x", "sk-abcdefghijklmnop1234"], &["x", REDACTED]),
        (
            &["x", "--max-tokens", "512", "--eos-token", "</s>"],
            &["x", "--max-tokens", "512", "--eos-token", "</s>"],
        ),
        (&["x", "--password-file", "/p"], &["x", "--password-file", "/p"]),
        (&["ssh", "ssh://git@host/x"], &["ssh", "ssh://git@host/x"]),
    ] {
        let argv = strings(argv);
        assert_eq!(Redactor::new(&argv, &[]).argv(&argv), strings(expected), "{argv:?}");
    }
}

#[test]
fn a_secret_seen_once_is_known_everywhere() {
    let argv = strings(&["x", "--api-key", "Correct Horse\"9"]);
    let redactor = Redactor::new(&argv, &[("DB_PASSWORD".into(), "battery-staple".into())]);
    assert_eq!(redactor.text("sent battery-staple to a"), "sent [redacted] to a");
    let json = json!({"note": "it was Correct Horse\"9 again"}).to_string();
    let (bytes, count) = redactor.bytes(json.as_bytes()).expect("text");
    assert_eq!(
        (String::from_utf8_lossy(&bytes).as_ref(), count),
        (r#"{"note":"it was [redacted] again"}"#, 1)
    );
    assert_eq!(redactor.bytes(b"\xff\xfe battery-staple"), Err(SecretInBinary));
    assert!(!format!("{redactor:?}").contains("battery"));
}

#[test]
fn ordinary_words_are_secrets_only_in_their_own_place() {
    let argv = strings(&["x", "--api-key", "sglang", "--password", "123456"]);
    let redactor = Redactor::new(&argv, &[("PWD".into(), "/data/model-7b".into())]);
    assert_eq!(redactor.argv(&argv), strings(&["x", "--api-key", REDACTED, "--password", REDACTED]));
    let report = r#"{"engine":"sglang","ns":123456789,"signature":"void f<3>()","dir":"/data/model-7b"}"#;
    assert_eq!(redactor.bytes(report.as_bytes()).expect("text").1, 0);
}

#[test]
fn evidence_text() {
    let redactor = Redactor::default();
    for (text, expected) in [
        (
            "server_args=ServerArgs(api_key='k3y-value', tp=8)",
            "server_args=ServerArgs(api_key='[redacted]', tp=8)",
        ),
        ("ServerArgs(api_key=None, token=5)", "ServerArgs(api_key=None, token=5)"),
        (r#"{"token": " the", "max_tokens": 5}"#, r#"{"token": " the", "max_tokens": 5}"#),
        (r#"{"log":"Authorization: Bearer a1\nnext"}"#, r#"{"log":"Authorization: [redacted]\nnext"}"#),
        (
            r#"{"x":"{\"password\":\"hunter22\",\"n\":1}"}"#,
            r#"{"x":"{\"password\":\"[redacted]\",\"n\":1}"}"#,
        ),
        (r#"{"password":12345678,"n":1}"#, r#"{"password":"[redacted]","n":1}"#),
        (r#"{"cookie":null, "n":"x"}"#, r#"{"cookie":null, "n":"x"}"#),
        (r#"{"credentials":[12345,"a"]}"#, r#"{"credentials":[12345,"a"]}"#),
        ("hf_transformersmodulesnamed", "hf_transformersmodulesnamed"),
        ("task-sk-not-a-key-at-all-12", "task-sk-not-a-key-at-all-12"),
        ("GET https://h/x@y?at=2", "GET https://h/x@y?at=2"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nrest", "[redacted]\nrest"),
    ] {
        let (bytes, _) = redactor.bytes(text.as_bytes()).expect("text");
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
    }
    assert!(redactor.bytes(b"\xff plain binary").is_ok());
}

#[test]
fn events_are_walked() {
    let value = json!({"headers": {"Authorization": "Basic abcd"}, "list": ["password=longer-one"], "n": 1, "api_key": null});
    let expected = json!({"headers": {"Authorization": REDACTED}, "list": ["password=[redacted]"], "n": 1, "api_key": null});
    assert_eq!(Redactor::default().value(&value), expected);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Redactor::default().bytes(&bytes);
    }

    #[test]
    fn arbitrary_text_never_panics(text in r#"(token|api_key|Bearer |://|@|=|:|"|'|\\|sk-|-----BEGIN |é|[a-z0-9 ]){0,30}"#) {
        let redactor = Redactor::new(std::slice::from_ref(&text), &[("API_KEY".into(), text.clone())]);
        let once = redactor.text(&text);
        prop_assert_eq!(redactor.text(&once).len() <= once.len() + 200, true);
        prop_assert!(redactor.bytes(text.as_bytes()).is_ok());
    }

    #[test]
    fn json_evidence_stays_json(
        name in prop::sample::select(vec!["password", "Authorization", "cookie", "api_key", "hf_token", "x"]),
        text in "(Bearer |https://a:b@c|sk-1234567890abcdefgh|[a-zA-Z0-9 ,:={}\"'\\\\/\n]){0,8}",
        number in any::<f64>(),
        which in 0..5,
        pretty in any::<bool>(),
    ) {
        let value = match which {
            0 => json!({ name: text, "n": [number] }),
            1 => json!({ name: number, "n": text }),
            2 => json!({ name: null, "n": [{ name: true }, text] }),
            3 => json!({ name: [number, text], "n": {name: {name: text}} }),
            _ => json!({ "log": json!({ name: text, "n": number }).to_string() }),
        };
        let json = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.expect("JSON");
        let redactor = Redactor::default();
        let (bytes, _) = redactor.bytes(json.as_bytes()).expect("text");
        prop_assert!(serde_json::from_slice::<Value>(&bytes).is_ok(), "{} became {}", json, String::from_utf8_lossy(&bytes));
    }
}
