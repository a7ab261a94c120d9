//! What happens on a call. The only room that combines the others.
