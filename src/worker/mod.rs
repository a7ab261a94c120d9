//! Who does it later: claim, run, settle.
