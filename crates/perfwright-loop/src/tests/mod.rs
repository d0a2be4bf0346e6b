//! Tests over the state machine as a whole.

mod machine;
