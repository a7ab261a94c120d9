//! libFuzzer's way into `original`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| m365_cached_fuzz::original(data));
