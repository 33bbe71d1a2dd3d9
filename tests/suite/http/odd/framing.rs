//! Requests with ambiguous or wrong framing. If two programs disagree about the end of such a request, another request
//! can be smuggled inside (RFC 9112, 11.2).

use super::{Target, judge};
use crate::{
    http::raw::{self, converse},
    support::Answer,
};

/// The text after each head, which contains a smuggled request.
const HIDDEN: &str = "0\r\n\r\nGET /static/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn ambiguous_framing_is_refused_and_hides_no_request() {
    let target = Target::new(&[]);
    let odd = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;a=b",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding:",
        "Transfer-Encoding : chunked",
        "Transfer\x00Encoding: chunked",
        " Transfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 50",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: -0",
        "Content-Length: 0x5",
        "Content-Length: 5.0",
        "Content-Length: 5e0",
        "Content-Length: 5 5",
        "Content-Length: five",
        "Content-Length: \u{665}",
        "Content-Length:",
        "Content-Length: 18446744073709551616",
        "Content-Length : 5",
        "Content-Length\t: 5",
        "Host: elsewhere.example",
        ": no name",
        "no colon",
        "X: a\x00b",
    ];
    for header in odd {
        let head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded";
        refused(&target, &format!("{head}\r\n{header}\r\n\r\n{HIDDEN}"));
    }
    for line in ["POST /login HTTP/1.0\r\nTransfer-Encoding: chunked", "POST /login HTTP/1.0", "GET /login HTTP/1.1"] {
        refused(&target, &format!("{line}\r\n\r\n{HIDDEN}"));
    }
    target.must_be_unharmed();
}

#[test]
fn broken_chunks_are_refused_and_hide_no_request() {
    let target = Target::new(&[]);
    let odd = [
        "g\r\n",
        "-1\r\n",
        "+5\r\n12345\r\n",
        "0x5\r\n12345\r\n",
        "5 5\r\n12345\r\n",
        "\r\n",
        ";\r\n",
        "fffffffffffffffff\r\n",
        "10000000000000000\r\n",
        "5\r\n1234567\r\n",
        "5\r\n12345",
        "5\n12345\n",
        "5\r12345\r",
        "\u{665}\r\n12345\r\n",
    ];
    for chunk in odd {
        let head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded";
        refused(&target, &format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{HIDDEN}"));
    }
    target.must_be_unharmed();
}

/// Checks for a single 400, and that the smuggled request was not answered.
fn refused(target: &Target, request: &str) {
    let bytes = converse(target.server.port, request.as_bytes());
    let answer = Answer::from(raw::read(&bytes));
    judge(&request, "/login", &answer);
    assert_eq!(answer.status, 400, "{request:?}: {answer:?}");
    let answers = String::from_utf8_lossy(&bytes).matches("HTTP/1.1 ").count();
    assert_eq!(answers, 1, "{request:?}: {:?}", String::from_utf8_lossy(&bytes));
    assert!(!target.server.log().contains("/static/hidden"), "{request:?}");
}
