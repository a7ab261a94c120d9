//! libFuzzer's way into `peek`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| m365_cached_fuzz::peek(data));
