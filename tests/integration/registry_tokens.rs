//! Tokens of registries: had by clients, or by the tier for everybody; slow ones, and those that open nothing.

use std::net::SocketAddr;
use std::time::Duration;

use substratum::config::Glob;

use crate::registries::{LAYER, Played, before, blob, played, programs};
use crate::support::client::Ask;
use crate::support::image::Image;
use crate::support::origin::{Fault, Origin, Page, Seen, Stratum};
use crate::support::peer::{Auth, Peer};
use crate::support::proxy::{Proxy, Setup};

#[tokio::test]
async fn tokens_are_had_where_the_registry_says() {
    let Some((program, skopeo)) = programs() else { return };
    let answer = "{\"token\":\"t1\",\"access_token\":\"t1\",\"expires_in\":300}";
    // skopeo asks with the scope in the query: whatever is asked there, it is given.
    let tokens = Origin::new().any_page(Page::new(answer).field("Content-Type", "application/json")).run();
    let registry = Peer::registry(&program, &Auth::Token(tokens.url("/token")));
    let image = Image::new(&[1], LAYER);
    image.push(&skopeo, registry.address(), "one:1", None);
    tokens.forget();
    let proxy = Proxy::start(before(&[("hub.test", registry.address())])).await;
    image.pull(&skopeo, proxy.address(), "one:1", None);
    assert!(tokens.requests() > 0, "the challenge was passed on");
    let path = blob("one", &image.layers[0]);
    let refused = proxy.get(&path).await;
    let challenge = refused.head.get("WWW-Authenticate").unwrap().to_owned();
    assert_eq!(refused.status(), 401);
    assert!(challenge.starts_with("Bearer ") && challenge.contains("repository:one:pull"), "{challenge}");
    assert_eq!(proxy.get(Ask::get(&path).field("Authorization", "Bearer t1")).await.status(), 200);
}

#[tokio::test]
async fn tokens_that_everybody_gets_are_obtained_where_that_is_configured() {
    let Some((program, skopeo)) = programs() else { return };
    let answer = "{\"token\":\"t1\",\"expires_in\":300}";
    let tokens = Origin::new().any_page(Page::new(answer)).run();
    let registry = Peer::registry(&program, &Auth::Token(tokens.url("/token")));
    let image = Image::new(&[1, 2], LAYER);
    image.push(&skopeo, registry.address(), "one:1", None);
    tokens.forget();
    let setup =
        || before(&[("hub.test", registry.address())]).with(|config| config.registries[0].anonymous = true);
    let proxy = Proxy::start(setup()).await;
    image.pull(&skopeo, proxy.address(), "one:1", None);
    let asked: Vec<_> = tokens.seen().iter().map(|seen| seen.target.clone()).collect();
    // One for the question whether this is a registry, one for the image.
    assert_eq!(asked, ["/token?service=tests", "/token?service=tests&scope=repository:one:pull"]);
    assert!(tokens.seen().iter().all(|seen| seen.get("Via").is_some()), "the client asked nobody");
    let path = blob("one", &image.layers[0]);
    assert_eq!(proxy.get(&path).await.body, image.blob(&image.layers[0]));
    assert_eq!(tokens.requests(), 2);

    // Where a token is not to be had, or the rules forbid to ask for one, the client reads the challenge.
    let closed = setup().with(|config| config.access.hosts = vec![Glob::new("*.test")]);
    let proxy = Proxy::start(closed).await;
    assert_eq!(proxy.get(&path).await.status(), 401);
    assert_eq!(tokens.requests(), 2);
    let proxy = Proxy::start(setup()).await;
    tokens.inject(Fault::Status(403));
    assert_eq!(proxy.get(&path).await.status(), 401);
    assert_eq!(proxy.get(&path).await.status(), 401);
    assert_eq!(tokens.requests(), 3, "for a moment nobody asks again");
    tokens.heal();
    let proxy = Proxy::start(setup()).await;
    assert_eq!(proxy.get(&path).await.status(), 200);
}

/// The page of a registry that asks for a token from there.
fn challenge(tokens: &Stratum, scope: &str) -> Page {
    let challenge = format!("Bearer realm=\"{}\",scope=\"{scope}\"", tokens.url("/token"));
    Page::new("who are you?").status(401).field("WWW-Authenticate", challenge)
}

fn anonymous(registries: &[(&str, SocketAddr)]) -> Setup {
    before(registries).with(|config| config.registries.iter_mut().for_each(|one| one.anonymous = true))
}

#[tokio::test]
async fn a_registry_that_is_slow_with_tokens_holds_nobody_else_up() {
    let (slow, quick) = (played(), played());
    let given = || Origin::new().any_page(Page::new("{\"token\":\"t1\"}"));
    let (slow_tokens, quick_tokens) = (given().fault(Fault::HoldHead).run(), given().run());
    slow.registry.set_page(&slow.path, challenge(&slow_tokens, "repository:one:pull"));
    quick.registry.set_page(&quick.path, challenge(&quick_tokens, "repository:one:pull"));
    let registries = [("slow.test", slow.registry.address()), ("quick.test", quick.registry.address())];
    // Longer than the play: whoever waits for the slow one is not answered in it.
    let setup = anonymous(&registries).with(|config| {
        config.upstream.head_deadline = Duration::from_secs(3600);
        config.upstream.first_byte_timeout = Duration::from_secs(60);
    });
    let proxy = Proxy::start(setup).await;
    let waiting = proxy.get_n(1, format!("{}?ns=slow.test", slow.path));
    slow_tokens.until_requests(1).await;
    assert_eq!(proxy.get(format!("{}?ns=quick.test", quick.path)).await.status(), 401);
    assert_eq!(quick_tokens.requests(), 1);
    slow_tokens.release();
    assert_eq!(waiting.all().await.remove(0).unwrap().status(), 401);
}

#[tokio::test]
async fn a_token_that_opens_nothing_is_asked_for_once() {
    let Played { registry, path, .. } = played();
    let tokens = Origin::new().any_page(Page::new("{\"token\":\"t1\",\"expires_in\":300}")).run();
    registry.set_page(&path, challenge(&tokens, "repository:one:pull"));
    let proxy = Proxy::start(anonymous(&[("hub.test", registry.address())])).await;
    for _ in 0..3 {
        let refused = proxy.get(&path).await;
        assert_eq!((refused.status(), &refused.body[..]), (401, &b"who are you?"[..]));
        assert!(refused.head.get("WWW-Authenticate").unwrap().starts_with("Bearer realm="));
    }
    assert_eq!(tokens.requests(), 1);
    let shown = |seen: &Seen| format!("{} {}", seen.method, seen.get("Authorization").unwrap_or("-"));
    let asked: Vec<_> = registry.seen().iter().map(shown).collect();
    let (first, then) = asked.split_at(3);
    assert_eq!(first, ["HEAD -", "HEAD Bearer t1", "GET Bearer t1"]);
    assert_eq!(then, ["HEAD Bearer t1", "GET Bearer t1"].repeat(2));
    // Another challenge is another matter.
    registry.set_page(&path, challenge(&tokens, "repository:two:pull"));
    assert_eq!(proxy.get(&path).await.status(), 401);
    assert_eq!(tokens.requests(), 2);
}
