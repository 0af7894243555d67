//! The binary: parse, run, exit. Everything it does is in the library, under [`hesper::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    quiet_mesa();
    hesper::cli::main()
}

/// Mesa's Vulkan drivers complain on standard error, once an adapter, where a session has no runtime directory (in a container, in
/// CI), although computing does not need one.
fn quiet_mesa() {
    let name = "XDG_RUNTIME_DIR";
    if cfg!(target_os = "linux") && std::env::var_os(name).is_none() {
        // SAFETY: no other thread runs yet that could read the environment.
        unsafe { std::env::set_var(name, std::env::temp_dir()) };
    }
}
