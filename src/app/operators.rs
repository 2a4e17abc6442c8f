//! The thread and the sockets of the operators' side.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::StartError;
use crate::admin::{self, Admin};

pub(super) fn snmp_socket(address: SocketAddr) -> Result<UdpSocket, StartError> {
    let bound = UdpSocket::bind(address).and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
    bound.map_err(|error| StartError::Snmp(address, error))
}

/// One thread for all that operators ask.
pub(super) fn admin_thread(
    http: Option<TcpListener>,
    snmp: Option<(UdpSocket, String)>,
    admin: Arc<Admin>,
) -> io::Result<(watch::Sender<bool>, JoinHandle<()>)> {
    let (stop, stopped) = watch::channel(false);
    let until_stopped = || {
        let mut stopped = stopped.clone();
        // An error means that the sender is gone, and the program with it.
        async move { _ = stopped.wait_for(|stop| *stop).await }
    };
    let (http_end, snmp_end) = (until_stopped(), until_stopped());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(admin::BLOCKING_CALLS)
        .build()?;
    let run = move || {
        let http = async {
            match http.map(tokio::net::TcpListener::from_std).transpose() {
                Ok(Some(listener)) => admin::serve(listener, Arc::clone(&admin), http_end).await,
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "the admin port cannot serve"),
            }
        };
        let snmp = async {
            let Some((socket, community)) = snmp else { return };
            match tokio::net::UdpSocket::from_std(socket) {
                Ok(socket) => admin::snmp::serve(socket, community, Arc::clone(&admin), snmp_end).await,
                Err(error) => tracing::error!(%error, "the SNMP port cannot serve"),
            }
        };
        runtime.block_on(async { tokio::join!(http, snmp) });
    };
    Ok((stop, std::thread::Builder::new().name("admin".into()).spawn(run)?))
}
