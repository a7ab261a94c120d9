//! libFuzzer's way into `arguments`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| m365_cached_fuzz::arguments(data));
