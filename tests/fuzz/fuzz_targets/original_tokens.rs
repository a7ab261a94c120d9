//! libFuzzer's way into `original_tokens`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| m365_cached_fuzz::original_tokens(data));
