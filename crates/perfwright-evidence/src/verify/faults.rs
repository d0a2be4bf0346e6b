//! Faults planted into verify, in test builds only: each must be caught by a vector, or verify is not tested.

macro_rules! faults {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// One way in which a verifier could be wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Fault { $($(#[doc = $doc])* $name,)* }

        #[cfg(test)]
        pub(crate) const ALL: &[Fault] = &[$(Fault::$name,)*];
    };
}

faults! {
    /// `prev` is not compared.
    SkipChain,
    /// An event's own hash is not compared.
    SkipEventHash,
    /// `seq` is not compared.
    SkipSeq,
    /// A line may be written in any style.
    AcceptNonCanonicalLine,
    /// Repeated keys keep the last value.
    AcceptDuplicateKeys,
    /// JSON size and depth are not bounded.
    SkipJsonLimits,
    /// Lines and events are not bounded.
    SkipLedgerLimits,
    /// A last line that does not hash counts as torn.
    TornForHashBroken,
    /// A torn line after the closing event is forgiven.
    AcceptTornAfterClose,
    /// Events may follow the closing event.
    AcceptEventsAfterClose,
    /// A run without a closing event counts as closed.
    AcceptMissingClose,
    /// The manifest's hash in the closing event is not compared.
    SkipManifestHash,
    /// The manifest's evidence list is not compared with the ledger.
    SkipManifestLedger,
    /// The contract hash is not compared.
    SkipContractHash,
    /// The contract may be written in any style.
    AcceptNonCanonicalContract,
    /// Evidence hashes are not compared.
    SkipFileHash,
    /// Evidence sizes are not compared.
    SkipFileSize,
    /// A listed file may be missing.
    AcceptMissingFile,
    /// A file that is not listed is accepted.
    AcceptUnlisted,
    /// A symbolic link is taken for the file it points to.
    AcceptSymlink,
    /// Pipes, sockets and devices are ignored.
    AcceptSpecial,
    /// Names may leave the folder.
    AcceptTraversal,
    /// A name may be listed twice.
    AcceptDuplicateNames,
    /// A directory without evidence is accepted.
    AcceptStrayDirectory,
    /// The combination rule is not recomputed.
    SkipVerdict,
    /// Gates are not evaluated again.
    SkipGates,
    /// A gate this version does not know counts as unchanged.
    AcceptUnknownGate,
    /// Imported evidence supports a pass.
    SkipBasisRule,
}

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Fault>> = const { std::cell::Cell::new(None) };
}

/// True while `fault` is planted on this thread.
#[cfg(test)]
pub(crate) fn planted(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}

/// In builds that ship there is nothing to plant.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn planted(_: Fault) -> bool {
    false
}

/// Runs `body` with one fault planted.
#[cfg(test)]
pub(crate) fn with_fault<T>(fault: Fault, body: impl FnOnce() -> T) -> T {
    PLANTED.set(Some(fault));
    let result = body();
    PLANTED.set(None);
    result
}
