//! Run folders, contracts, ledger, gates and verdicts: what makes a result checkable by somebody else.
