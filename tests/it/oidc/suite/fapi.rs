//! Clients that keep to the FAPI 2.0 security profile: pushed requests, PKCE, assertions signed by their own key
//! (private_key_jwt), and tokens bound to a key by DPoP.

use data_encoding::BASE64URL_NOPAD;
use doorward::crypto::mac::sha256;
use doorward::crypto::signing::{PrivateKey, SigningAlgorithm};
use doorward::kernel::random::Random;
use serde_json::{Value, json};

use super::browser::Visit;
use super::{CALLBACK, ISSUER, Mode, Request, Suite, Tokens, checks};
use crate::harness::{Answer, Client};
use crate::oidc::{App, VERIFIER, challenge, text};

pub(crate) const TOKEN: &str = "/oauth2/token";
pub(crate) const PAR: &str = "/oauth2/par";
pub(crate) const USERINFO: &str = "/oauth2/userinfo";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client with the keys that only it has.
#[derive(Clone)]
pub(crate) struct Rp {
    pub(crate) app: App,
    /// Signs assertions.
    pub(crate) key: PrivateKey,
    /// Signs proofs.
    pub(crate) dpop: PrivateKey,
}

/// A run of one module: two clients, as the plan has them.
pub(crate) struct Fapi {
    pub(crate) suite: Suite,
    pub(crate) first: Rp,
    pub(crate) second: Rp,
}

/// A token that is being made.
pub(crate) struct Draft {
    pub(crate) header: Value,
    pub(crate) claims: Value,
}

impl Draft {
    /// Signs it as it is.
    pub(crate) fn sign(&self, key: &PrivateKey) -> String {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&self.header), part(&self.claims));
        let signature = key.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.header.as_object_mut().unwrap().remove(name);
        self.claims.as_object_mut().unwrap().remove(name);
    }
}

/// Makes a key.
pub(crate) fn new_key(algorithm: SigningAlgorithm) -> PrivateKey {
    PrivateKey::generate(algorithm, &Random::os()).unwrap()
}

/// The numbers of a public key and nothing else.
pub(crate) fn bare_jwk(key: &PrivateKey) -> Value {
    let mut jwk = key.public_jwk();
    jwk.as_object_mut().unwrap().retain(|name, _| !["kid", "alg", "use"].contains(&name.as_str()));
    jwk
}

/// The thumbprint of a key (RFC 7638), which is also its name.
pub(crate) fn thumbprint(key: &PrivateKey) -> &str {
    key.kid()
}

impl Fapi {
    pub(crate) fn start() -> Fapi {
        let mut suite = Suite::start_with(Mode::Default, json!({ "name": "Not FAPI" }), |options| {
            options.oidc.advertise_par = true;
        });
        // Proofs from before the start are refused, and some modules date theirs back a little.
        suite.wait(120);
        let first = register(&suite, "First", SigningAlgorithm::Es256, json!([]));
        let second = register(&suite, "Second", SigningAlgorithm::EdDsa, json!([]));
        suite.keys = suite.read_keys();
        Fapi { suite, first, second }
    }

    /// A request as every module pushes it.
    pub(crate) fn request(&mut self) -> Request {
        let app = self.first.app.clone();
        self.request_of(&app)
    }

    pub(crate) fn request_of(&mut self, app: &App) -> Request {
        self.suite
            .request_of(app)
            .with("code_challenge", &challenge(VERIFIER))
            .with("code_challenge_method", "S256")
    }

    /// An assertion of a client that is sound.
    pub(crate) fn assertion(&mut self, rp: &Rp) -> Draft {
        let (now, id) = (self.suite.now().as_secs(), rp.app.id.as_str());
        Draft {
            header: json!({ "alg": rp.key.algorithm().as_str(), "kid": rp.key.kid() }),
            claims: json!({
                "iss": id, "sub": id, "aud": ISSUER, "iat": now, "nbf": now, "exp": now + 60,
                "jti": self.suite.fresh(20),
            }),
        }
    }

    /// A proof that is sound.
    pub(crate) fn proof(&mut self, key: &PrivateKey, method: &str, path: &str, token: Option<&str>) -> Draft {
        let mut claims = json!({
            "jti": self.suite.fresh(20), "htm": method, "htu": format!("{ISSUER}{path}"),
            "iat": self.suite.now().as_secs(),
        });
        if let Some(token) = token {
            claims["ath"] = json!(BASE64URL_NOPAD.encode(&sha256(token)));
        }
        let header = json!({ "typ": "dpop+jwt", "alg": key.algorithm().as_str(), "jwk": bare_jwk(key) });
        Draft { header, claims }
    }

    /// Sends a form of a client: with its assertion, and a proof if there is one.
    pub(crate) fn post(
        &mut self,
        rp: &Rp,
        path: &str,
        fields: &[(&str, &str)],
        proof: Option<&str>,
    ) -> Answer {
        let assertion = self.assertion(rp).sign(&rp.key);
        self.post_with(&assertion, path, fields, proof)
    }

    pub(crate) fn post_with(
        &self,
        assertion: &str,
        path: &str,
        fields: &[(&str, &str)],
        proof: Option<&str>,
    ) -> Answer {
        let mut fields = fields.to_vec();
        fields.extend([("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)]);
        let headers: Vec<(&str, &str)> = proof.iter().map(|proof| ("DPoP", *proof)).collect();
        self.suite.post(path, &fields, &headers)
    }

    /// Pushes a request as the first client.
    pub(crate) fn push(&mut self, request: &Request) -> Answer {
        let rp = self.first.clone();
        self.push_as(&rp, request, None)
    }

    pub(crate) fn push_as(&mut self, rp: &Rp, request: &Request, proof: Option<&str>) -> Answer {
        let fields: Vec<(&str, &str)> = request.0.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        self.post(rp, PAR, &fields, proof)
    }

    /// Pushes a request with an assertion of one's own making.
    pub(crate) fn push_with(&mut self, assertion: &str) -> Answer {
        let request = self.request();
        let fields: Vec<(&str, &str)> = request.0.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        self.post_with(assertion, PAR, &fields, None)
    }

    /// Goes to the authorization endpoint with a reference and nothing else.
    pub(crate) fn visit(&mut self, app: &App, reference: &str) -> Visit {
        self.suite.visit(&short(app, reference))
    }

    /// Pushes a request as the first client and returns the code that the browser brings.
    #[track_caller]
    pub(crate) fn authorize(&mut self, request: &Request) -> String {
        let rp = self.first.clone();
        self.authorize_as(&rp, request, None)
    }

    #[track_caller]
    pub(crate) fn authorize_as(&mut self, rp: &Rp, request: &Request, proof: Option<&str>) -> String {
        let reference = reference(&self.push_as(rp, request, proof));
        let visit = self.visit(&rp.app, &reference);
        self.suite.code(&visit, request)
    }

    /// Asks for tokens with a code and a proof of the client's key.
    pub(crate) fn exchange(&mut self, rp: &Rp, code: &str) -> Answer {
        let proof = self.proof(&rp.dpop, "POST", TOKEN, None).sign(&rp.dpop);
        self.exchange_with(rp, code, VERIFIER, Some(&proof))
    }

    pub(crate) fn exchange_with(
        &mut self,
        rp: &Rp,
        code: &str,
        verifier: &str,
        proof: Option<&str>,
    ) -> Answer {
        let mut fields =
            vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
        if !verifier.is_empty() {
            fields.push(("code_verifier", verifier));
        }
        self.post(rp, TOKEN, &fields, proof)
    }

    /// Checks tokens, and the id_token more strictly than the other plans do.
    #[track_caller]
    pub(crate) fn check_tokens(&self, answer: &Answer, request: &Request) -> Tokens {
        let body = checks::tokens(answer, "DPoP");
        let token = text(&body, "id_token");
        let id_token = self.suite.check_id_token(token, request.get("client_id").unwrap());
        assert_eq!(id_token["nonce"].as_str(), request.get("nonce"), "nonce");
        let algorithm = crate::oidc::header(token)["alg"].as_str().unwrap().to_owned();
        assert!(["PS256", "ES256", "EdDSA"].contains(&algorithm.as_str()), "{algorithm}");
        Tokens { body, id_token }
    }

    /// Asks userinfo with a token and a header of proof.
    pub(crate) fn ask(&self, scheme: &str, token: &str, proofs: &[&str]) -> Answer {
        let mut caller: Client =
            self.suite.caller().with_header("Authorization", &format!("{scheme} {token}"));
        for proof in proofs {
            caller = caller.with_header("DPoP", proof);
        }
        caller.get_json(USERINFO)
    }

    /// Asks userinfo with a sound proof and checks the answer.
    #[track_caller]
    pub(crate) fn userinfo(&mut self, rp: &Rp, tokens: &Tokens) -> Value {
        let proof = self.proof(&rp.dpop, "GET", USERINFO, Some(tokens.access_token())).sign(&rp.dpop);
        let answer = self.ask("DPoP", tokens.access_token(), &[&proof]);
        self.suite.check_userinfo(&answer, tokens)
    }

    /// The whole flow of the first client.
    #[track_caller]
    pub(crate) fn flow(&mut self, request: &Request) -> Tokens {
        let rp = self.first.clone();
        self.flow_as(&rp, request)
    }

    #[track_caller]
    pub(crate) fn flow_as(&mut self, rp: &Rp, request: &Request) -> Tokens {
        let code = self.authorize_as(rp, request, None);
        let answer = self.exchange(rp, &code);
        let tokens = self.check_tokens(&answer, request);
        self.userinfo(rp, &tokens);
        tokens
    }
}

/// Registers a client with a fresh key and perhaps others.
pub(crate) fn register(suite: &Suite, name: &str, algorithm: SigningAlgorithm, others: Value) -> Rp {
    let key = new_key(algorithm);
    let mut keys = others.as_array().unwrap().clone();
    keys.push(key.public_jwk());
    let app = suite.add_app(json!({
        "name": name,
        "auth_method": "private_key_jwt",
        "jwks": { "keys": keys },
        "id_token_alg": algorithm,
        "profile": "fapi2",
        "pkce": "required",
    }));
    Rp { app, key, dpop: new_key(SigningAlgorithm::Es256) }
}

/// What the address holds after a request was pushed.
pub(crate) fn short(app: &App, reference: &str) -> Request {
    Request(Vec::new()).with("client_id", &app.id).with("request_uri", reference)
}

/// Returns the reference of a request that was taken.
#[track_caller]
pub(crate) fn reference(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("cache-control").is_some_and(|value| value.contains("no-store")));
    let body = answer.json();
    assert!((5..600).contains(&body["expires_in"].as_u64().expect("expires_in")), "{body}");
    let reference = text(&body, "request_uri");
    let secret = reference.strip_prefix("urn:ietf:params:oauth:request_uri:").expect("RFC 9126 section 2.2");
    checks::is_unguessable(secret);
    reference.to_owned()
}
