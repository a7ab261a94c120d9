//! LLVM's two tools for counts, in the version that the compiler is built with: an older one cannot read them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

/// Where they are.
#[derive(Debug)]
pub(super) struct Tools {
    profdata: PathBuf,
    cov: PathBuf,
}

impl Tools {
    /// Those of the toolchain, or else the system's.
    ///
    /// # Errors
    /// When neither has them, with what to install.
    pub(super) fn find(root: &Path) -> anyhow::Result<Self> {
        let version = said(Command::new("rustc").current_dir(root).arg("-vV"))?;
        let field = |name: &str| {
            version.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).with_context(|| format!("rustc names no {name}"))
        };
        let (host, llvm) = (field("host")?, field("LLVM version")?);
        let major = llvm.split('.').next().unwrap_or(llvm);
        let sysroot = said(Command::new("rustc").current_dir(root).args(["--print", "sysroot"]))?;
        let own = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin");
        let tool = |name: &str| {
            let candidates = [own.join(name), PathBuf::from(format!("{name}-{major}")), PathBuf::from(name)];
            let fits = |path: &PathBuf| said(Command::new(path).arg("--version")).is_ok_and(|said| is_of(&said, major));
            candidates.into_iter().find(fits).with_context(|| {
                format!(
                    "no `{name}` of LLVM {major}, which rustc is built with\nhint: install it: `rustup component add llvm-tools`, or Debian's \
                     `apt-get install llvm-{major}`."
                )
            })
        };
        Ok(Self { profdata: tool("llvm-profdata")?, cov: tool("llvm-cov")? })
    }

    /// What the programs counted, as text in the form of `lcov`.
    ///
    /// # Errors
    /// When there are no counts, or they do not fit the programs.
    pub(super) fn lines(&self, counts: &Path, programs: &[PathBuf]) -> anyhow::Result<String> {
        let merged = counts.join("merged.profdata");
        said(Command::new(&self.profdata).args(["merge", "--sparse", "--output"]).arg(&merged).args(super::raw(counts)?))?;
        let mut command = Command::new(&self.cov);
        command.args(["export", "--format=lcov", "--instr-profile"]).arg(&merged);
        for program in programs {
            command.arg("--object").arg(program);
        }
        said(&mut command)
    }
}

/// Whether a tool that says this is of that LLVM.
fn is_of(said: &str, major: &str) -> bool {
    said.lines().any(|line| line.split_once("LLVM version ").is_some_and(|(_, version)| version.split('.').next() == Some(major)))
}

/// What a program prints.
fn said(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("starting {name}"))?;
    anyhow::ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).with_context(|| format!("what {name} prints"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_of_another_llvm_is_none() {
        let debian = "Debian LLVM version 14.0.6\n  Optimized build.\n";
        assert!(is_of(debian, "14") && !is_of(debian, "22") && !is_of(debian, "1"));
        assert!(is_of("LLVM (http://llvm.org/):\n  LLVM version 22.1.2-rust-1.95.0-stable\n", "22"));
    }
}
