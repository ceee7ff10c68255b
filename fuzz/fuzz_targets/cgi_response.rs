//! Any bytes as what a function writes; see `luge_fuzz::check_cgi`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| luge_fuzz::check_cgi(input));
