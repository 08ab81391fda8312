//! `oidcc-formpost-basic-certification-test-plan`: the modules of the basic plan, and every answer arrives by POST.

use super::basic_modules::basic_modules;
use super::suite::Mode;

basic_modules!(Mode::FormPost);
