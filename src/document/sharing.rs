//! Who fetches and who waits: one request leads a refresh, the others share what it ends with.
//!
//! A refresh runs in a task of its own, so that a leader that goes away harms nobody; a refresh behind a stale answer
//! has no leader at all. Whoever cannot share fetches for itself.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use tokio::sync::oneshot;

use super::asking::Asking;
use super::body::PassBody;
use super::failure::Failure;
use super::flight::{Flight, Join};
use super::flow::Flow;
use super::refresh::{Document, Job, Refreshed, UpstreamRequest};
use super::storable::NotStored;
use super::stored::Stored;
use super::{Answer, Documents, Found};
use crate::response::cache_status::{Forward, Sharing};

/// What those who waited for a refresh get.
#[derive(Clone)]
pub enum Landed<E> {
    /// A complete one.
    Document(Document),
    /// A response that still arrives.
    Flowing(Arc<Stored>, Flow<E>),
    /// Nothing that could be shared: everybody fetches for themselves.
    Nothing,
    /// Nothing to send.
    Failed(Failure<E>),
}

impl<E> Documents<E>
where
    E: Clone + Send + Sync + 'static,
{
    pub(super) async fn refreshed<F, Fut, B>(
        &self,
        asking: Asking,
        stored: Option<Arc<Stored>>,
        reason: Forward,
        fetch: F,
    ) -> Result<Answer<B, E>, Failure<E>>
    where
        F: FnOnce(UpstreamRequest) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Response<B>, E>> + Send + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<E> + Send,
    {
        let job = asking.job(stored.clone(), stored.clone().filter(|one| self.may_stand_in(&asking, one)));
        let join = if asking.shares_refreshes() { self.flights.join(&job.key) } else { Join::Full };
        let refreshed = match join {
            Join::Lead(flight) => {
                // Another flight may have landed between the look-up and now.
                if let Found::Answer(answer) = self.look_up(&asking) {
                    return Ok(answer);
                }
                self.launch(flight, job, fetch).await.unwrap_or(Ended::Failed(Failure::Interrupted))
            }
            Join::Wait(waiter) => {
                let waiting = self.shelf.waiting();
                let landed = waiter.landed().await;
                drop(waiting);
                match landed {
                    Some(Landed::Flowing(head, flow)) if asking.may_share(&head) => {
                        return Ok(asking.flowing(&head, &flow, reason, Sharing::Collapsed));
                    }
                    Some(Landed::Document(document)) if asking.may_share(&document.stored) => {
                        return Ok(asking.document(&document, reason, Sharing::Collapsed));
                    }
                    // An answer that only the leader could replace by a stored one is fetched again.
                    Some(Landed::Failed(failure)) if job.stand_in.is_some() || !failure.has_answer() => {
                        Ended::Failed(failure)
                    }
                    Some(_) => self.alone(job, fetch).await,
                    None => match self.look_up(&asking) {
                        Found::Answer(answer) => return Ok(answer),
                        Found::Meanwhile(_) | Found::Ask(..) => self.alone(job, fetch).await,
                    },
                }
            }
            Join::Full => self.alone(job, fetch).await,
            Join::Crowded => return Err(Failure::Overload),
        };
        match refreshed {
            Ended::Flowing(head, flow) => Ok(asking.flowing(&head, &flow, reason, Sharing::Alone)),
            Ended::Document(document) => Ok(asking.document(&document, reason, Sharing::Alone)),
            Ended::Passed(response, why) => Ok(asking.passed(response, reason, why)),
            Ended::Failed(failure) => match stored {
                Some(stored) if self.may_stand_in(&asking, &stored) => Ok(self.stale(&asking, &stored)),
                _ => Err(failure),
            },
        }
    }

    /// Runs the refresh in a task of its own, which ends by itself: the upstream bounds the time to the head,
    /// [`Policy`] the time for the body.
    fn launch<F, Fut, B>(
        &self,
        flight: Flight<Landed<E>>,
        job: Job,
        fetch: F,
    ) -> oneshot::Receiver<Ended<B, E>>
    where
        F: FnOnce(UpstreamRequest) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Response<B>, E>> + Send + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<E> + Send,
    {
        let shelf = self.shelf.clone();
        let (sender, receiver) = oneshot::channel();
        tokio::spawn(async move {
            // In all cases the leader may have gone; what was meant for it alone then ends here.
            let refreshed = job.run(&shelf, fetch).await;
            let Refreshed::Slow(slow) = refreshed else {
                let ended = Ended::of(refreshed);
                flight.land(Landed::of(&ended));
                let _ = sender.send(ended);
                return;
            };
            let announce = |head: Arc<Stored>, flow: Flow<E>| {
                flight.announce(Landed::Flowing(head.clone(), flow.clone()));
                let _ = sender.send(Ended::Flowing(head, flow));
            };
            let finished = slow.finish(&job, &shelf, announce).await;
            // Over before anybody hears of its end, as every flight.
            drop(flight);
            finished.tell();
        });
        receiver
    }

    /// Has a stale response replaced, for those who come later; nobody waits. While one refresh is under way there is
    /// no second one, and none soon after it failed.
    pub(super) fn refresh_behind<F, Fut, B>(&self, asking: &Asking, stored: Arc<Stored>, fetch: F)
    where
        F: FnOnce(UpstreamRequest) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Response<B>, E>> + Send + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<E> + Send,
    {
        if stored.rests(asking.clock.now()) {
            return;
        }
        if let Some(flight) = self.flights.start(&asking.request.key) {
            let job = asking.job(Some(stored.clone()), Some(stored));
            // What it ends with is in the store, or in nobody's hands.
            drop(self.launch(flight, job, fetch));
        }
    }

    /// Runs the refresh for one request alone, and only as long as that lives.
    async fn alone<F, Fut, B>(&self, job: Job, fetch: F) -> Ended<B, E>
    where
        F: FnOnce(UpstreamRequest) -> Fut,
        Fut: Future<Output = Result<Response<B>, E>>,
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<E>,
    {
        Ended::of(job.run(&self.shelf, fetch).await)
    }
}

/// How a refresh ended for the one who caused it.
enum Ended<B, E> {
    Document(Document),
    Flowing(Arc<Stored>, Flow<E>),
    Passed(Response<PassBody<B>>, NotStored),
    Failed(Failure<E>),
}

impl<B, E> Ended<B, E> {
    fn of(refreshed: Refreshed<B, E>) -> Self {
        match refreshed {
            Refreshed::Document(document) => Self::Document(document),
            Refreshed::Slow(slow) => Self::Passed(slow.passed_on(), NotStored::TooSlow),
            Refreshed::Passed { response, reason } => Self::Passed(response, reason),
            Refreshed::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl<E: Clone> Landed<E> {
    fn of<B>(ended: &Ended<B, E>) -> Self {
        match ended {
            Ended::Document(document) if is_shareable(document) => Self::Document(document.clone()),
            Ended::Flowing(head, flow) => Self::Flowing(head.clone(), flow.clone()),
            Ended::Document(_) | Ended::Passed(..) => Self::Nothing,
            Ended::Failed(failure) => Self::Failed(failure.clone()),
        }
    }
}

/// What is not kept for want of use may be shared all the same; what may not be kept may not.
fn is_shareable(document: &Document) -> bool {
    matches!(document.kept, Ok(()) | Err(NotStored::NoUse))
}
