//! What keeps an instance running: start and stop, health and readiness, metrics, and the doctor that tells what is
//! wrong and which line mends it.

pub mod doctor;
pub mod health;
pub mod lifecycle;
pub mod metrics;
pub mod notify;
pub mod system;
