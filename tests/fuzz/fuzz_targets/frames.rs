//! libFuzzer's way into `frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| m365_cached_fuzz::frames(data));
