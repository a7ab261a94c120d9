//! Who we are to Microsoft: loopback PKCE, device code, the keeper of tokens, accounts.
