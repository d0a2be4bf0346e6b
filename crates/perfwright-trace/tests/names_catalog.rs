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
