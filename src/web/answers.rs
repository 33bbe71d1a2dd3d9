//! Sends response bodies to clients that may read slowly. A large body is sent in pieces and counted until the client
//! has taken the last piece. If that takes too long, the connection is closed. Called by the outermost layer.
//!
//! Invariant: the bytes of large answers in flight are bounded in total, per account and per address. Files and streams
//! are not counted: a file is in memory only once, and a stream buffers nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::{
    HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    web::Bytes,
};

use super::{
    connections::{Request, UnderWay},
    limits::Limits,
    proxies::network,
};
use crate::base::error::{Away, Error, Result};

/// Smaller answers are not counted: the limit on connections bounds them.
const LARGE: usize = 16 * 1024;
/// Limits on the bytes of large answers in flight.
const TOTAL: usize = 64 * 1024 * 1024;
const PER_ADDRESS: usize = 24 * 1024 * 1024;
const PER_ACCOUNT: usize = 8 * 1024 * 1024;
/// `Retry-After` for an account or address that has reached its limit.
const NEXT_TRY: Duration = Duration::from_secs(2);

/// The account that an answer belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountId(pub String);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Holder {
    Account(String),
    Network(IpAddr),
}

/// The large answers in flight on this node. Clones share one table.
#[derive(Debug, Clone, Default)]
pub struct Answers(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    total: usize,
    held: HashMap<Holder, usize>,
}

/// The recipient of an answer. Its guards keep the connection and the request marked as busy until the client has taken
/// the answer.
#[derive(Debug)]
pub struct Recipient {
    pub address: Option<IpAddr>,
    pub under_way: Option<UnderWay>,
    pub request: Option<Request>,
    /// The answer is a static file, which is in memory anyway.
    pub is_file: bool,
}

impl Answers {
    /// Counts a large answer and sets the deadline by which the client must have taken it. `account` returns the account
    /// that is signed in.
    ///
    /// # Errors
    /// [`Error::TooFast`] if the account or address has reached its limit, [`Error::Unavailable`] if the node has.
    pub fn send(
        &self,
        answer: HttpResponse,
        to: Recipient,
        account: impl FnOnce() -> Option<AccountId>,
        limits: Limits,
    ) -> Result<HttpResponse> {
        let (head, body) = answer.into_parts();
        let bytes = match (body.size(), body.try_into_bytes()) {
            (BodySize::None | BodySize::Sized(0), Ok(nothing)) => return Ok(head.set_body(BoxBody::new(nothing))),
            (_, Ok(bytes)) => bytes,
            (_, Err(streamed)) => return Ok(head.set_body(BoxBody::new(Streamed { body: streamed, _to: to }))),
        };
        if bytes.len() < LARGE || to.is_file {
            return Ok(head.set_body(BoxBody::new(Pieces { rest: bytes, held: None, to })));
        }
        let held = self.hold(bytes.len(), account(), &to)?;
        if let Some(under_way) = &to.under_way {
            let time = Duration::from_secs(bytes.len() as u64 / limits.slowest.max(1));
            under_way.connection().set_taken_by(Some(Instant::now() + limits.answer + time));
        }
        Ok(head.set_body(BoxBody::new(Pieces { rest: bytes, held: Some(held), to })))
    }

    fn hold(&self, bytes: usize, account: Option<AccountId>, to: &Recipient) -> Result<Held> {
        let account = account.map(|AccountId(id)| (Holder::Account(id), PER_ACCOUNT));
        let network = to.address.map(|ip| (Holder::Network(network(ip)), PER_ADDRESS));
        let holders: Vec<(Holder, usize)> = account.into_iter().chain(network).collect();
        let mut table = self.lock();
        for (holder, share) in &holders {
            let has = table.held.get(holder).copied().unwrap_or(0);
            if has > 0 && has + bytes > *share {
                return Err(Error::TooFast(NEXT_TRY));
            }
        }
        if table.total > 0 && table.total + bytes > TOTAL {
            return Err(Error::unavailable(Away::Busy, "too many large answers wait to be taken"));
        }
        table.total += bytes;
        let holders: Vec<Holder> = holders.into_iter().map(|(holder, _)| holder).collect();
        for holder in &holders {
            *table.held.entry(holder.clone()).or_default() += bytes;
        }
        Ok(Held { of: self.clone(), holders, bytes })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes of one large answer in flight. Dropping it releases them.
#[derive(Debug)]
struct Held {
    of: Answers,
    holders: Vec<Holder>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut table = self.of.lock();
        table.total -= self.bytes;
        for holder in &self.holders {
            if let Some(has) = table.held.get_mut(holder) {
                *has -= self.bytes;
                if *has == 0 {
                    table.held.remove(holder);
                }
            }
        }
    }
}

/// A body in pieces. Actix copies each piece into its write buffer when the buffer has room.
struct Pieces {
    rest: Bytes,
    held: Option<Held>,
    to: Recipient,
}

impl MessageBody for Pieces {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.rest.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let many = self.rest.len().min(LARGE);
        let piece = self.rest.split_to(many);
        Poll::Ready(Some(Ok(piece)).filter(|_| many > 0))
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if let (Some(_), Some(under_way)) = (&self.held, &self.to.under_way) {
            under_way.connection().set_taken_by(None);
        }
    }
}

/// A stream. Its request counts as under way until the stream ends.
struct Streamed {
    body: BoxBody,
    _to: Recipient,
}

impl MessageBody for Streamed {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipient(address: &str) -> Recipient {
        Recipient { address: address.parse().ok(), under_way: None, request: None, is_file: false }
    }

    fn sent(answers: &Answers, bytes: usize, account: &str, address: &str) -> Result<HttpResponse> {
        let answer = HttpResponse::Ok().body(vec![b'x'; bytes]);
        answers.send(answer, recipient(address), || Some(AccountId(account.to_owned())), Limits::default())
    }

    #[test]
    fn large_answers_in_flight_are_bounded() {
        let answers = Answers::default();
        let mib = 1024 * 1024;
        let mut held: Vec<HttpResponse> = (0..8).map(|_| sent(&answers, mib, "acc_1", "192.0.2.1").unwrap()).collect();
        assert!(matches!(sent(&answers, mib, "acc_1", "192.0.2.9"), Err(Error::TooFast(_))));
        assert!(sent(&answers, 1000, "acc_1", "192.0.2.9").is_ok(), "small answers are not counted");
        held.extend((8..24).map(|n| sent(&answers, mib, &format!("acc_{n}"), "192.0.2.1").unwrap()));
        assert!(matches!(sent(&answers, mib, "acc_2", "192.0.2.1"), Err(Error::TooFast(_))));
        held.extend((24..64).map(|n| sent(&answers, mib, &format!("acc_{n}"), &format!("192.0.2.{n}")).unwrap()));
        assert!(matches!(sent(&answers, mib, "acc_99", "192.0.2.99"), Err(Error::Unavailable(_))));
        drop(held);
        let table = answers.lock();
        assert!(table.total == 0 && table.held.is_empty());
    }

    #[actix_web::test]
    async fn an_answer_arrives_whole() {
        let answers = Answers::default();
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let answer = HttpResponse::Ok().body(text.clone());
        let answer = answers.send(answer, recipient("192.0.2.1"), || None, Limits::default());
        let body = answer.unwrap().into_body();
        assert_eq!(body.size(), BodySize::Sized(400_000));
        assert_eq!(actix_web::body::to_bytes(body).await.unwrap(), text);
    }
}
