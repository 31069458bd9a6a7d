"""Supabase for one machine: PostgreSQL, REST, tokens and Realtime on loopback."""
