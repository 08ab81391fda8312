//! `oidcc-basic-certification-test-plan`: metadata by discovery, static client, `client_secret_basic`, code flow.

use super::basic_modules::basic_modules;
use super::suite::Mode;

basic_modules!(Mode::Default);
