//! From Graph's objects to the fields we answer with.
