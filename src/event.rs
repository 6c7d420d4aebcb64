//! What can happen in a run, as values. Faces are folds over these; times are added where they are shown.
