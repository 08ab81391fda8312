//! stub
use crate::kernel::random::Random;
use crate::kernel::time::Timestamp;
use crate::store::Batch;
pub struct LogoutNotice {
    pub client_id: String,
    pub uri: String,
    pub subject: String,
    pub sid: Option<String>,
    pub token_jti: [u8; 16],
}
impl LogoutNotice {
    pub fn new(
        r: &Random,
        client_id: String,
        uri: String,
        subject: String,
        sid: Option<String>,
        _: Timestamp,
    ) -> Self {
        LogoutNotice { client_id, uri, subject, sid, token_jti: r.bytes() }
    }
}
pub trait LogoutTokens: Send + Sync {
    fn make(&self, notice: &LogoutNotice) -> Option<String>;
}
pub struct Backchannel;
impl Backchannel {
    pub fn new() -> Self {
        Backchannel
    }
    pub fn stage(&self, _: &mut Batch, _: LogoutNotice) {}
}
