//! Connection timeouts that Actix lacks. Actix bounds the first request head, the idle time between
//! requests and the final shutdown. [`Watched`] also bounds later heads, requests without a response, and responses
//! that the client does not read. Called by the listener.
//!
//! Invariant: after the first byte of a request, a connection ends at its time limit unless the client reads bytes of a
//! response. A long response is not cut off while the client keeps reading it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::rt::{
    net::{ActixStream, Ready, TcpStream},
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio::{
    io::{self as stream, AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    runtime::Handle,
};

use crate::web::{
    connections::{Connection, Place},
    limits::Limits,
};

/// How long the server keeps reading from a client after refusing its request. Closing at once would send a reset,
/// which could reach the client before the refusal.
pub const FAREWELL: Duration = Duration::from_secs(1);

/// The byte stream of a connection: TCP or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<Io: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for Io {}

/// A TCP connection that holds a place in [`Connections`](crate::web::connections::Connections). It ends when another
/// connection needs the place.
pub struct Placed {
    io: TcpStream,
    place: Place,
}

impl Placed {
    /// Sends small packets at once. Otherwise the kernel holds back the end of a response until the client acknowledges
    /// what came before, which clients do up to 40 ms late.
    pub fn new(io: TcpStream, place: Place) -> Self {
        if let Err(error) = io.set_nodelay(true) {
            tracing::debug!(%error, "setting TCP_NODELAY failed");
        }
        Self { io, place }
    }

    pub fn connection(&self) -> &Connection {
        &self.place.connection
    }

    pub fn peer(&self) -> Option<SocketAddr> {
        self.io.peer_addr().ok()
    }
}

impl AsyncRead for Placed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.place.connection.has_to_close(cx.waker()) {
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_pending() {
            self.place.connection.nothing_to_read();
        }
        read
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

impl ActixStream for Placed {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.io, cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.io, cx)
    }
}

/// A stream that fails when its client is too slow.
pub struct Watched<Io: Stream> {
    /// `None` only during drop.
    io: Option<Io>,
    connection: Connection,
    limits: Limits,
    /// When the first byte of the pending request arrived. A write clears it.
    requested_at: Option<Instant>,
    /// When the pending write first blocked. A completed write clears it.
    blocked_at: Option<Instant>,
    /// Whether either side has closed the stream.
    closed: bool,
    alarm: Pin<Box<Sleep>>,
}

impl<Io: Stream> Watched<Io> {
    pub fn new(io: Io, connection: Connection, limits: Limits) -> Self {
        let alarm = Box::pin(sleep_until(Instant::now() + limits.head));
        Self { io: Some(io), connection, limits, requested_at: None, blocked_at: None, closed: false, alarm }
    }

    /// The state that requests on this connection share.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    fn io(&mut self) -> io::Result<Pin<&mut Io>> {
        self.io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn deadline(&self) -> Option<Instant> {
        let head_or_answer = if self.connection.is_busy() { self.limits.answer } else { self.limits.head };
        let answer_due = self.requested_at.map(|at| at + head_or_answer);
        let write_due = self.blocked_at.map(|at| at + self.limits.answer);
        let taken = self.connection.taken_by().map(Instant::from_std);
        answer_due.into_iter().chain(write_due).chain(taken).min()
    }

    /// Fails if the deadline has passed. Otherwise sets an alarm that wakes the task. If the deadline moves later, the
    /// alarm is reset only when it fires, so that it is not reset with every request.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while let Some(deadline) = self.deadline() {
            if deadline <= Instant::now() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the client is too slow"));
            }
            if self.alarm.deadline() > deadline || self.alarm.is_elapsed() {
                self.alarm.as_mut().reset(deadline);
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                break;
            }
        }
        Ok(())
    }
}

impl<Io: Stream> AsyncRead for Watched<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let before = buf.filled().len();
        ready!(self.io()?.poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.requested_at.get_or_insert_with(Instant::now);
        } else {
            self.closed = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl<Io: Stream> AsyncWrite for Watched<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.io()?.poll_write(cx, bytes);
        if written.is_ready() {
            (self.requested_at, self.blocked_at) = (None, None);
        } else {
            self.blocked_at.get_or_insert_with(Instant::now);
            self.check(cx)?;
        }
        written
    }

    /// Actix calls this at the end of each poll, even when it no longer reads, so the deadline is checked here too.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        self.io()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed = true;
        self.io()?.poll_shutdown(cx)
    }
}

impl<Io: Stream> Drop for Watched<Io> {
    /// Actix drops a connection right after refusing a request head, while the client may still be sending. Keep
    /// reading for [`FAREWELL`], so that the client receives the refusal.
    fn drop(&mut self) {
        let refused = !self.closed && self.requested_at.is_none() && self.blocked_at.is_none();
        if let (true, Some(mut io), Ok(runtime)) = (refused, self.io.take(), Handle::try_current()) {
            runtime.spawn(timeout(FAREWELL, async move {
                io.shutdown().await?;
                stream::copy(&mut io, &mut stream::sink()).await
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::connections::Connections;

    #[actix_web::test]
    async fn the_end_of_a_response_is_not_held_back() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (io, _) = listener.accept().unwrap();
        io.set_nonblocking(true).unwrap();
        let io = TcpStream::from_std(io).unwrap();
        assert!(!io.nodelay().unwrap(), "the default");
        let place = Connections::new(1, Vec::new()).place(None).unwrap();
        assert!(Placed::new(io, place).io.nodelay().unwrap());
    }
}
