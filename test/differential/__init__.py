"""The differential test: random schemas, documents and queries; each query with pushdown on and off; the answers compared.

    documents    BSON documents as the test writes them, and the odd values that a field may hold
    kinds        the column types: which BSON values are theirs, which convert, which constants a query compares with
    schemas      random collections, documents and foreign tables
    expressions  random SQL expressions of a type
    queries      random queries
    comparison   when two answers agree
    deviations   where the test server differs from MongoDB's documentation
    runner       runs queries on both sides and counts what was pushed down
    minimizer    makes a disagreement small
    reproduction prints it so that it can be run again by hand

Everything random comes from a random.Random seeded with "SEED/SCHEMA/QUERY", so that a query can be had again by its name.
"""
