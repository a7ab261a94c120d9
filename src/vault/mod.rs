//! Where secrets sleep: the OS keyring, the environment, a key file; the keys of the database and their envelope.
