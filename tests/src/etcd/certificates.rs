//! Certificates for one etcd: an authority of its own, and what that signs for the loopback interface.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// The files, all in PEM.
#[derive(Debug)]
pub(super) struct Certificates {
    pub(super) ca: PathBuf,
    pub(super) server: PathBuf,
    pub(super) server_key: PathBuf,
}

impl Certificates {
    /// Makes them, in `folder`.
    pub(super) fn make(folder: &Path) -> Result<Self> {
        let write = |name: &str, pem: String| {
            let file = folder.join(name);
            std::fs::write(&file, pem).with_context(|| format!("cannot write {}", file.display()))?;
            Ok::<_, anyhow::Error>(file)
        };
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "Sluicegate's tests");
        let ca_key = KeyPair::generate()?;
        let ca = params.self_signed(&ca_key)?;
        let issuer = Issuer::new(params, ca_key);

        let server_key = KeyPair::generate()?;
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let server = CertificateParams::new(names)?.signed_by(&server_key, &issuer)?;
        Ok(Self {
            ca: write("ca.pem", ca.pem())?,
            server: write("server.pem", server.pem())?,
            server_key: write("server.key", server_key.serialize_pem())?,
        })
    }
}
