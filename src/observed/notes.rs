//! A VM's notes and the record in them.
