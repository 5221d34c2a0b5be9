"""A hub as a site for people: pages that need no server and nothing from elsewhere.

Everything that the pages show comes from files of strangers. Text is escaped where it becomes part
of a page (:mod:`dc_hub.site.markup`), cards are rendered without HTML of their own
(:mod:`dc_hub.site.card`), and a policy in each page lets nothing run but the page's own script.
"""
