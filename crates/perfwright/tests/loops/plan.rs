//! `loop plan`: drafts, comments, lint, goal text.

use std::fs;

use crate::World;

#[test]
fn from_a_draft_to_a_plan_that_can_start() {
    let world = World::new();
    world.write("draft.md", "Make a faster.\n- a must say hello\n- must not touch bench/\n");
    let made = world
        .pw(&["loop", "plan", "--from-draft", "draft.md", "--out", "new.md", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!((made["usable"].as_bool(), made["criteria"][0].as_str()), (Some(false), Some("AC-1")));
    world.pw(&["loop", "plan", "new.md"]).expect(1);
    world.pw(&["loop", "plan", "--from-draft", "draft.md", "--out", "new.md"]).expect(5);
    world.pw(&["loop", "plan", "plan.md"]).expect(0);
}

#[test]
fn comments_become_pending_decisions() {
    let world = World::new();
    fs::write(
        world.repo().join("commented.md"),
        format!("{}CMT: why one file? ENDCMT\n", world.read("plan.md")),
    )
    .unwrap();
    world.pw(&["loop", "plan", "--refine", "commented.md", "--out", "refined.md"]).expect(0);
    let text = world.read("refined.md");
    assert!(text.contains("- DEC-1: (CMT-1, line") && !text.contains("ENDCMT"), "{text}");
    world.pw(&["loop", "plan", "refined.md"]).expect(1);
    world.write("stray.md", "ENDCMT\n");
    world.pw(&["loop", "plan", "--refine", "stray.md"]).expect(4);
}

#[test]
fn the_goal_form_comes_from_the_typed_plan() {
    let world = World::new();
    let text = world.pw(&["loop", "plan", "--goal", "plan.md"]).expect(0).stdout;
    for part in ["Make a say hello", "AC-1", "perfwright loop check", "grep -q hello", "bench/**", "6 rounds"]
    {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let json = world.pw(&["loop", "plan", "--goal", "plan.md", "--format", "json"]).expect(0).json();
    assert_eq!(
        (json["schema"].as_str(), json["text"].as_str()),
        (Some("perfwright.loop-goal/v1"), Some(text.as_str()))
    );
}
