//! Settings: defaults, then the file, then the environment, then flags; unknown keys are refused, and every value knows where it came from.
