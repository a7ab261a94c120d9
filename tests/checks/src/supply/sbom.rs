//! The list of parts as CycloneDX 1.5. The same `Cargo.lock` gives the same bytes: no date, and no serial number by chance.

use anyhow::Context as _;
use cyclonedx_bom::{
    external_models::uri::Purl,
    models::{
        bom::SpecVersion,
        component::{Classification, Component, Components},
        dependency::{Dependencies, Dependency},
        external_reference::{ExternalReference, ExternalReferenceType, ExternalReferences, Uri},
        hash::{Hash, HashAlgorithm, HashValue, Hashes},
        license::{LicenseChoice, Licenses},
        metadata::Metadata,
    },
    prelude::{Bom, Validate as _},
};

use super::Part;

fn component(part: &Part) -> anyhow::Result<Component> {
    let kind = if part.is_ours() { Classification::Application } else { Classification::Library };
    let mut component = Component::new(kind, &part.name, &part.version, Some(name_of(&part.name, &part.version)));
    component.purl = Some(Purl::new("cargo", &part.name, &part.version).with_context(|| part.name.clone())?);
    // Older packages write `/` for OR, which is none of SPDX's words.
    component.licenses = part.licence.as_ref().map(|licence| Licenses(vec![LicenseChoice::expression(&licence.replace('/', " OR "))]));
    component.hashes =
        part.checksum.as_ref().map(|sum| Hashes(vec![Hash { alg: HashAlgorithm::SHA_256, content: HashValue(sum.clone()) }]));
    component.external_references = part.repository.as_ref().map(|at| {
        let uri = Uri::Url(cyclonedx_bom::external_models::uri::Uri::new(at));
        ExternalReferences(vec![ExternalReference::new(ExternalReferenceType::Vcs, uri)])
    });
    Ok(component)
}

fn name_of(name: &str, version: &str) -> String {
    format!("pkg:cargo/{name}@{version}")
}

/// The list as JSON text.
///
/// # Errors
/// When a part cannot be told in CycloneDX's words.
pub fn sbom(parts: &[Part]) -> anyhow::Result<Vec<u8>> {
    let components = parts.iter().map(component).collect::<anyhow::Result<Vec<_>>>()?;
    let dependencies = parts.iter().map(|part| Dependency {
        dependency_ref: name_of(&part.name, &part.version),
        dependencies: part.parts.iter().map(|(name, version)| name_of(name, version)).collect(),
    });
    let whole = Component::new(Classification::Application, "m365-cached", env!("CARGO_PKG_VERSION"), Some("m365-cached".into()));
    let bom = Bom {
        serial_number: None,
        spec_version: SpecVersion::V1_5,
        metadata: Some(Metadata { component: Some(whole), ..Metadata::default() }),
        components: Some(Components(components)),
        dependencies: Some(Dependencies(dependencies.collect())),
        ..Bom::default()
    };
    let judged = bom.validate_version(SpecVersion::V1_5);
    anyhow::ensure!(judged.passed(), "not valid CycloneDX: {judged:?}");
    let mut text = Vec::new();
    bom.output_as_json_v1_5(&mut text)?;
    text.push(b'\n');
    Ok(text)
}
