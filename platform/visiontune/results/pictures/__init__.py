"""Pictures as they were ingested: summaries, sheets, stores."""
