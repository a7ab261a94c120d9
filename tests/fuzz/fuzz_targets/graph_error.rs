//! libFuzzer's way into `graph_error`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| m365_cached_fuzz::graph_error(data));
