-- The type wrapped_key, without its definition, since its functions need the name first.

CREATE TYPE key_vault.wrapped_key;
