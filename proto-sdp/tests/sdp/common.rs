//! What the tests share: fixtures, parameters, a pair of negotiations, seeded property tests.

use proto_sdp::{
    Candidate, CandidateTarget, DataSection, Fingerprint, HashFunction, LocalParameters, Negotiation, Password,
    SdpType, SessionDescription, Side, TransportParameters, TypedDescription, UsernameFragment,
};
use quickcheck::{Gen, QuickCheck, Testable};

const CHROMIUM: &str = include_str!("../fixtures/chromium-156.txt");
const FIREFOX: &str = include_str!("../fixtures/firefox-153-esr.txt");

/// The 20 recorded descriptions, named `<browser>/<scenario>.<type>`.
pub(crate) fn fixtures() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (browser, text) in [("chromium", CHROMIUM), ("firefox", FIREFOX)] {
        for part in text.split("##").filter(|part| !part.trim().is_empty()) {
            let (name, body) = part.split_once('\n').unwrap();
            let body = body.trim_end_matches(['\r', '\n']);
            all.push((format!("{browser}/{}", name.trim()), format!("{body}\r\n")));
        }
    }
    assert_eq!(all.len(), 20);
    all
}

pub(crate) fn fixture(name: &str) -> String {
    let (_, text) = fixtures().into_iter().find(|(own, _)| own == name).unwrap_or_else(|| panic!("no fixture {name}"));
    text
}

pub(crate) fn parse(text: &str) -> SessionDescription {
    SessionDescription::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

pub(crate) fn offer_of(text: &str) -> TypedDescription {
    TypedDescription::parse(SdpType::Offer, text).unwrap()
}

pub(crate) fn answer_of(text: &str) -> TypedDescription {
    TypedDescription::parse(SdpType::Answer, text).unwrap()
}

/// Parameters that differ for every name; names are letters and digits.
pub(crate) fn parameters(name: &str) -> LocalParameters {
    let byte = name.bytes().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    LocalParameters::new(
        UsernameFragment::new(&format!("{name}ufrag")).unwrap(),
        Password::new(&format!("{name}/password+password+pwd")).unwrap(),
        vec![Fingerprint::new(HashFunction::Sha256, &[byte; 32]).unwrap()],
    )
}

pub(crate) fn candidate(line: &str) -> Candidate {
    line.parse().unwrap_or_else(|error| panic!("{error}: {line}"))
}

pub(crate) fn mid(mid: &str) -> CandidateTarget<'_> {
    CandidateTarget { mid: Some(mid), ..CandidateTarget::default() }
}

pub(crate) fn accepted(negotiation: &Negotiation) -> TransportParameters {
    match negotiation.data_section() {
        DataSection::Accepted(parameters) => *parameters,
        other => panic!("no data section: {other:?}"),
    }
}

/// Two ends; descriptions travel between them as text.
pub(crate) struct Pair {
    pub(crate) alice: Negotiation,
    pub(crate) bob: Negotiation,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self { alice: Negotiation::new(1), bob: Negotiation::new(2) }
    }

    /// Alice and Bob after Alice's first offer of data channels.
    pub(crate) fn connected() -> Self {
        let mut pair = Self::new();
        pair.negotiate(&parameters("alice"), &parameters("bob"));
        pair
    }

    /// Alice offers, Bob answers.
    pub(crate) fn negotiate(&mut self, alice: &LocalParameters, bob: &LocalParameters) {
        exchange(&mut self.alice, alice, &mut self.bob, bob);
    }

    /// Bob offers, Alice answers.
    pub(crate) fn negotiate_back(&mut self, alice: &LocalParameters, bob: &LocalParameters) {
        exchange(&mut self.bob, bob, &mut self.alice, alice);
    }
}

pub(crate) fn exchange(
    offerer: &mut Negotiation,
    offering: &LocalParameters,
    answerer: &mut Negotiation,
    answering: &LocalParameters,
) {
    let offer = offerer.create_offer(offering, true).unwrap();
    offerer.set_local_description(TypedDescription::Offer(offer.clone())).unwrap();
    answerer.set_remote_description(offer_of(&offer.to_string())).unwrap();
    let answer = answerer.create_answer(answering).unwrap();
    answerer.set_local_description(TypedDescription::Answer(answer.clone())).unwrap();
    offerer.set_remote_description(answer_of(&answer.to_string())).unwrap();
}

/// The answer that a fresh negotiation gives to an offer.
pub(crate) fn answer_to(offer: &str) -> (Negotiation, SessionDescription) {
    let mut negotiation = Negotiation::new(7);
    negotiation.set_remote_description(offer_of(offer)).unwrap();
    let answer = negotiation.create_answer(&parameters("ours")).unwrap();
    negotiation.set_local_description(TypedDescription::Answer(answer.clone())).unwrap();
    (negotiation, answer)
}

/// An offer of data channels alone, as lines without line ends.
pub(crate) fn data_offer() -> Vec<String> {
    let text = "v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuv
a=ice-options:trickle
a=fingerprint:sha-256 83:31:56:FD:66:7E:01:87:7A:8A:F6:92:DA:C7:29:38:54:C2:01:83:67:A5:D1:DD:32:E8:F2:DA:21:E6:68:E0
a=setup:actpass
a=mid:0
a=sctp-port:5000
a=max-message-size:262144";
    text.lines().map(str::to_owned).collect()
}

pub(crate) fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

/// The offer with the first line that starts like this replaced; `None` removes it.
pub(crate) fn data_offer_with(start: &str, replacement: Option<&str>) -> String {
    let mut lines = data_offer();
    let position = lines.iter().position(|line| line.starts_with(start)).unwrap();
    match replacement {
        Some(line) => lines[position] = line.to_owned(),
        None => {
            lines.remove(position);
        }
    }
    joined(&lines)
}

pub(crate) const SEED: u64 = 0x5d9_2026;

/// Runs a property with a fixed seed, and says which one if it fails.
pub(crate) fn check<Property: Testable>(tests: u64, property: Property) {
    let result = QuickCheck::new().rng(Gen::from_size_and_seed(24, SEED)).tests(tests).quicktest(property);
    if let Err(failure) = result {
        panic!("seed {SEED:#x}: {failure:?}");
    }
}

pub(crate) fn remote(negotiation: &Negotiation) -> &SessionDescription {
    negotiation.description(Side::Remote).unwrap().1
}

pub(crate) fn local(negotiation: &Negotiation) -> &SessionDescription {
    negotiation.description(Side::Local).unwrap().1
}
