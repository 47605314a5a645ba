-- The type wrapped_key, as yet without its definition: its functions need the name.

CREATE TYPE key_vault.wrapped_key;
