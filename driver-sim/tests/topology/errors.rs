//! A line that is wrong is named by its number, and so is what is wrong with it.

use driver_sim::Topology;

fn error(text: &str) -> String {
    text.parse::<Topology>().unwrap_err().to_string()
}

#[test]
fn words_that_mean_nothing_are_named_with_their_line() {
    assert_eq!(error("\n# fine\nhome nut EP"), "line 3: \"nut\" was not expected");
    assert_eq!(error("home nat EX external 203.0.113.1"), "line 1: \"EX\" was not expected");
    assert_eq!(error("home nat EPP external 203.0.113.1"), "line 1: \"EPP\" was not expected");
    assert_eq!(error("home nat EP external 203.0.113.1 sideways"), "line 1: \"sideways\" was not expected");
    assert_eq!(error("home nat EP external 203.0.113.1 lifetime 30"), "line 1: \"30\" was not expected");
    assert_eq!(error("alice host 192.0.2.256"), "line 1: \"192.0.2.256\" was not expected");
    assert_eq!(error("alice host behind home"), "line 1: \"behind\" was not expected");
    assert_eq!(error("alice host 192.0.2.1 loss 101%"), "line 1: \"101%\" was not expected");
    for percentage in ["%", "1", ".5%", "1.%", "1.25%", "100.1%", "+1%", "1.-1%"] {
        let expected = format!("line 1: {percentage:?} was not expected");
        assert_eq!(error(&format!("alice host 192.0.2.1 loss {percentage}")), expected);
    }
    assert_eq!(error("alice host 192.0.2.1 burst 1% 2%"), "line 1: a percentage is missing");
    assert_eq!(error("alice host 192.0.2.1 rate 0"), "line 1: \"0\" was not expected");
    assert_eq!(error("wall firewall udp perhaps"), "line 1: \"perhaps\" was not expected");
}

#[test]
fn a_line_that_ends_too_early_says_what_should_follow() {
    assert_eq!(error("home"), "line 1: what it is is missing");
    assert_eq!(error("home nat"), "line 1: the behaviour of the NAT is missing");
    assert_eq!(error("home nat EP"), "line 1: an external address is missing");
    assert_eq!(error("alice host"), "line 1: an address is missing");
    assert_eq!(error("alice host 192.0.2.1 behind"), "line 1: a network is missing");
    assert_eq!(error("relay turn 192.0.2.1"), "line 1: a user is missing");
    assert_eq!(error("relay turn user alice secret"), "line 1: an address is missing");
    assert_eq!(error("relay turn 192.0.2.1 user"), "line 1: the name of the user is missing");
    assert_eq!(error("relay turn 192.0.2.1 user alice"), "line 1: the password of the user is missing");
    assert_eq!(error("alice host 192.0.2.1 queue 10000"), "line 1: the rate of the queue is missing");
}

#[test]
fn names_are_unique_and_known_before_they_are_used() {
    let home = "home nat EP external 203.0.113.1\n";
    assert_eq!(error("alice host 10.0.0.2 behind home"), "line 1: no line above makes a network \"home\"");
    assert_eq!(error(&format!("{home}home host 10.0.0.2 behind home")), "line 2: the name \"home\" is taken");
    assert_eq!(error("a host 192.0.2.1\na host 192.0.2.2"), "line 2: the name \"a\" is taken");
    assert_eq!(error("a host 192.0.2.1\na firewall"), "line 2: the name \"a\" is taken");
}

#[test]
fn networks_that_could_not_exist_are_refused_with_their_line() {
    assert_eq!(error("a host 192.0.2.1\nb host 192.0.2.1"), "line 2: the address 192.0.2.1 is taken");
    assert_eq!(error("a host 192.0.2.1\nb nat EE external 192.0.2.1"), "line 2: the address 192.0.2.1 is taken");
    let home = "home nat EP external 203.0.113.1\n";
    let second = format!("{home}home firewall ipv4");
    assert_eq!(error(&second), "line 2: the network has a gateway for IPV4 already");
    let late = "x firewall ipv6\nalice host 10.0.0.1 behind x\nx nat EP external 203.0.113.1";
    assert_eq!(error(late), "line 3: 10.0.0.1 is there before the gateway");
    let lifetime = "line 1: a lifetime of nothing lets no answer pass";
    assert_eq!(error("x nat EP external 203.0.113.1 lifetime 0s"), lifetime);
    assert_eq!(error("x firewall lifetime 0ms"), lifetime);
    assert_eq!(
        error("x firewall ipv6 \nx nat EP external 10.0.0.1 behind x"),
        "line 2: the network would be outside of itself"
    );
}
