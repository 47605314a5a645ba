# Copies of the checkout: tests run in one, so that the checkout stays as it is.
# For the scripts of test/, demo/ and bench/.  Sourced, not run.
# shellcheck shell=bash

# Copies what is not a product of building or testing.
copy_checkout() # FROM TO
{
	mkdir -p "$2"
	tar -C "$1" --exclude=./.git --exclude='*.o' --exclude='*.bc' --exclude='*.so' --exclude='*.a' --exclude=__pycache__ \
		--exclude=./test/unit/build --exclude=./results --exclude=./tmp_check --exclude=node_modules \
		-c . | tar -C "$2" -x --no-same-owner
}
