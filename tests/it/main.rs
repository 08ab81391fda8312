//! One integration binary against the real server; one file a feature.

// `cfg(test)` always holds here; it tells the lints that helpers of tests may unwrap.
#[cfg(test)]
mod access;
#[cfg(test)]
mod admin;
#[cfg(test)]
mod admin_pages;
#[cfg(test)]
mod apps;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod attacks;
#[cfg(test)]
mod authorization_matrix;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod callers;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod configured;
#[cfg(test)]
mod domains;
#[cfg(test)]
mod enrolment;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod forward_auth;
#[cfg(test)]
mod fuzz_seeds;
#[cfg(test)]
mod gates;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod http_edge;
#[cfg(test)]
mod import;
#[cfg(test)]
mod lengths;
#[cfg(test)]
mod link_makers;
#[cfg(test)]
mod lockout;
#[cfg(test)]
mod log_canary;
#[cfg(test)]
mod logout_notices;
#[cfg(test)]
mod long_answers;
#[cfg(test)]
mod my_account;
#[cfg(test)]
mod my_apps;
#[cfg(test)]
mod observatory;
#[cfg(test)]
mod oidc;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod outgoing;
#[cfg(test)]
mod outside;
#[cfg(test)]
mod passkey_enrolment;
#[cfg(test)]
mod passkeys;
#[cfg(test)]
mod people;
#[cfg(test)]
mod preferences;
#[cfg(test)]
mod profiles;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod response_headers;
#[cfg(test)]
mod restoring;
#[cfg(test)]
mod return_to;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod software_key;
#[cfg(test)]
mod stays;
#[cfg(test)]
mod store;
#[cfg(test)]
mod system;
#[cfg(test)]
mod three_lists;
#[cfg(test)]
mod token_forgery;
#[cfg(test)]
mod trouble;
