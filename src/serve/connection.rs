//! A connection that is not waited for without end. Actix bounds the first head, the idle time between requests and the
//! last farewell; this bounds what it leaves open: later heads, requests that get no answer, answers that nobody takes.
//!
//! Invariant: after the first byte of a request a connection lasts no longer than its limits, unless bytes of an answer
//! are taken meanwhile. An answer that goes on for hours is not cut as long as it writes now and then.
//! A refusal is not lost: a client that is still sending is listened to for a moment, or the reset would overtake it.

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

/// How long a client is listened to that was refused in the middle of what it had to say.
pub const FAREWELL: Duration = Duration::from_secs(1);

/// What a connection runs over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<Io: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for Io {}

/// A connection in its place: it ends when the place is needed for another.
pub struct Placed {
    io: TcpStream,
    place: Place,
}

impl Placed {
    /// Puts a connection in its place.
    pub fn new(io: TcpStream, place: Place) -> Self {
        Self { io, place }
    }

    /// What is known of it.
    pub fn connection(&self) -> &Connection {
        &self.place.connection
    }

    /// Who is at the other end.
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

/// A stream that ends by itself when its client is too slow.
pub struct Watched<Io: Stream> {
    /// Gone only while this is dropped.
    io: Option<Io>,
    connection: Connection,
    limits: Limits,
    /// When the first byte came that nothing was written after.
    asked: Option<Instant>,
    /// Since when the client takes nothing of what is written.
    stuck: Option<Instant>,
    /// Whether the end was said, or nobody is there to hear it.
    closed: bool,
    alarm: Pin<Box<Sleep>>,
}

impl<Io: Stream> Watched<Io> {
    /// Watches a stream over this connection.
    pub fn new(io: Io, connection: Connection, limits: Limits) -> Self {
        let alarm = Box::pin(sleep_until(Instant::now() + limits.head));
        Self { io: Some(io), connection, limits, asked: None, stuck: None, closed: false, alarm }
    }

    /// What its requests tell of themselves.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    fn io(&mut self) -> io::Result<Pin<&mut Io>> {
        self.io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn deadline(&self) -> Option<Instant> {
        let head_or_answer = if self.connection.is_busy() { self.limits.answer } else { self.limits.head };
        let asked = self.asked.map(|asked| asked + head_or_answer);
        let stuck = self.stuck.map(|stuck| stuck + self.limits.answer);
        let taken = self.connection.taken_by().map(Instant::from_std);
        asked.into_iter().chain(stuck).chain(taken).min()
    }

    /// Fails when it is too late, and sees to it that this is asked again in time. The alarm may go off too early: it
    /// is set anew only then, not with every request.
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
            self.asked.get_or_insert_with(Instant::now);
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
            (self.asked, self.stuck) = (None, None);
        } else {
            self.stuck.get_or_insert_with(Instant::now);
            self.check(cx)?;
        }
        written
    }

    /// Called at the end of each turn, even when nothing is read any more.
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
    /// Actix drops a connection right after it has refused a head, however much of that is still on its way.
    fn drop(&mut self) {
        let refused = !self.closed && self.asked.is_none() && self.stuck.is_none();
        if let (true, Some(mut io), Ok(runtime)) = (refused, self.io.take(), Handle::try_current()) {
            runtime.spawn(timeout(FAREWELL, async move {
                io.shutdown().await?;
                stream::copy(&mut io, &mut stream::sink()).await
            }));
        }
    }
}
