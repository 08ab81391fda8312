//! One integration binary against the real server; one file a feature.
