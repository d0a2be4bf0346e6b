//! Every catalogue entry proves itself by its own examples.

use perfwright_trace::names::{Catalog, Symbol};

fn catalog() -> Catalog {
    Catalog::builtin().expect("built-in catalogue")
}

#[test]
fn every_rule_decides_its_example_and_not_its_counterexample() {
    let catalog = catalog();
    let mut faults = Vec::new();
    for rule in catalog.rules() {
        let yes = catalog.classify(&Symbol::parse(&rule.yes), None);
        if yes.rule.as_deref() != Some(rule.id.as_str()) {
            faults.push(format!("{}: example is decided by {:?}", rule.id, yes.rule));
        }
        let no = catalog.classify(&Symbol::parse(&rule.no), None);
        if no.rule.as_deref() == Some(rule.id.as_str()) {
            faults.push(format!("{}: also decides its counterexample", rule.id));
        }
        if rule.source.trim().is_empty() {
            faults.push(format!("{}: no source", rule.id));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_operation_rule_decides_its_example_only() {
    let catalog = catalog();
    let unknown = Symbol::parse("k_4711");
    for rule in catalog.op_rules() {
        let yes = catalog.classify(&unknown, Some(&rule.yes));
        assert_eq!(yes.rule.as_deref(), Some(rule.id.as_str()), "{}", rule.yes);
        let no = catalog.classify(&unknown, Some(&rule.no));
        assert_ne!(no.rule.as_deref(), Some(rule.id.as_str()), "{}", rule.no);
        assert!(!rule.source.trim().is_empty(), "{}", rule.id);
    }
}

#[test]
fn every_tag_rule_marks_its_example_only() {
    let catalog = catalog();
    let mut seen = 0;
    for (id, adds, yes, no, source) in catalog.tag_rules() {
        seen += 1;
        let yes = catalog.classify(&Symbol::parse(yes), None);
        assert!(adds.iter().all(|t| yes.has(t)), "{id}: {:?}", yes.fused);
        let no = catalog.classify(&Symbol::parse(no), None);
        assert!(!adds.iter().all(|t| no.has(t)), "{id}: {:?}", no.fused);
        assert!(!source.trim().is_empty(), "{id}");
    }
    assert!(seen > 0);
}

/// The built-in texts skip the check that user texts get, so it is made here.
#[test]
fn the_built_in_texts_would_pass_as_overrides() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalog/kernels");
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).expect("catalogue folder") {
        let path = entry.expect("entry").path();
        texts.push((path.display().to_string(), std::fs::read_to_string(&path).expect("text")));
    }
    assert_eq!(texts.len(), 10, "a file of the folder is not compiled in");
    let sources: Vec<(&str, &str)> = texts.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    let checked = Catalog::with_overrides(&sources).expect("valid");
    assert_eq!(checked.rules().count(), catalog().rules().count(), "an id is used twice");
    let ids: usize = texts.iter().map(|(_, t)| t.matches("\n[[rule]]\n").count()).sum();
    assert_eq!(checked.rules().count(), ids, "an id is used twice");
}
