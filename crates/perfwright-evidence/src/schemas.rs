//! The JSON Schemas of everything that this crate writes or answers.

use schemars::{Schema, schema_for};

use crate::diff::{DIFF_SCHEMA, DiffReport};
use crate::model::{MANIFEST_SCHEMA, Manifest};
use crate::share::{
    ATTEST_SCHEMA, Attestation, PACK_SCHEMA, PackReport, ROW_PROOF_SCHEMA, RowProof, SEAL_SCHEMA, Seal,
};
use crate::show::{LIST_SCHEMA, ListReport, SHOW_SCHEMA, ShowReport};
use crate::verify::report::{VERIFY_SCHEMA, VerifyReport};

/// `(name, schema)` for the generated `schemas/` folder, by name.
#[must_use]
pub fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        (MANIFEST_SCHEMA, schema_for!(Manifest)),
        (DIFF_SCHEMA, schema_for!(DiffReport)),
        (ATTEST_SCHEMA, schema_for!(Attestation)),
        (LIST_SCHEMA, schema_for!(ListReport)),
        (PACK_SCHEMA, schema_for!(PackReport)),
        (ROW_PROOF_SCHEMA, schema_for!(RowProof)),
        (SEAL_SCHEMA, schema_for!(Seal)),
        (SHOW_SCHEMA, schema_for!(ShowReport)),
        (VERIFY_SCHEMA, schema_for!(VerifyReport)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_describes_an_object_with_a_schema_field() {
        for (name, schema) in schemas() {
            let value = schema.as_value();
            assert_eq!(value["type"], "object", "{name}");
            // An in-toto statement has members of its own; its predicate names our schema.
            if name != ATTEST_SCHEMA {
                assert!(value["properties"]["schema"].is_object(), "{name}");
            }
        }
    }
}
